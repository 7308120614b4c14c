//! The answer to a browser whose credentials no longer count.
//!
//! `EventSource` takes every status but 200 for the end. A page that slept past its token must be told like one that was
//! awake, so it gets a stream that says `sluice.expired` and ends. `EventSource` then comes back by itself, with the same
//! credentials for as long as the page does nothing: it is told to wait for its turn, and a client that does not wait gets
//! a status in the end.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use sluice_access::{AddressPrefixes, Denial, Rate, Rates};
use sluice_wire::Problem;

use super::problem::Answer;
use super::{Edge, events};
use crate::control;
use crate::settings::{Limits, RefusedWait};
use crate::subscription::cursor_text;

/// Callers whose turns are told apart.
const CALLERS_MAX: usize = 65_536;
/// Answers a second for one network: many browsers may be behind one address.
const NETWORK_PER_SECOND: u32 = 100;

/// By what a client that comes back is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// By the digest of its credentials.
    Credentials([u8; 32]),
    /// By the subject of its credentials.
    Subject(Arc<str>),
    /// By its address, if it has no credentials.
    Address(IpAddr),
    Unknown,
}

/// The turns of all clients that come back with credentials that no longer count.
#[derive(Debug)]
pub(super) struct Comebacks {
    wait: RefusedWait,
    prefixes: AddressPrefixes,
    turns: Mutex<Turns>,
}

#[derive(Debug)]
struct Turns {
    credentials: Rates,
    networks: Rates,
}

impl Comebacks {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let wait = limits.refused_wait;
        let most_s = u32::try_from(wait.most.as_secs()).unwrap_or(u32::MAX).max(1);
        let rates = |per_second: u32| {
            let burst = most_s.saturating_mul(per_second);
            Rates::new(Rate { per_second, burst }, CALLERS_MAX, now)
        };
        let turns = Turns { credentials: rates(1), networks: rates(NETWORK_PER_SECOND) };
        Self { wait, prefixes: limits.address_prefixes, turns: Mutex::new(turns) }
    }

    /// How long `caller` is told to wait: the longer, the more often it comes; an error when it comes more often than it
    /// was told to for so long that it evidently does not wait, with the time after which it is answered again.
    fn turn(&self, caller: Caller, now: Instant) -> Result<Duration, Duration> {
        let mut turns = self.turns.lock().unwrap_or_else(sluice_failure::poisoned);
        let turn = match caller {
            Caller::Address(address) => turns.networks.turn(&self.prefixes.network_of(address), now),
            caller => turns.credentials.turn(&caller, now),
        };
        turn.map(|turn| turn.clamp(self.wait.least.min(self.wait.most), self.wait.most))
    }
}

/// Whether the client of this request is to be told `denial` in a stream, and the reason that it is told.
pub(super) fn reason(
    edge: &Edge,
    denial: &Denial,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Option<&'static str> {
    let reason = denial.renewable()?;
    // Where no credentials are configured, none can ever help.
    let may_help = edge.expired_as_event && edge.access.has_credentials();
    // A first request without credentials is most likely a mistake in the page. One that says where its stream was
    // interrupted had a stream, so it had credentials.
    let had_some = !matches!(denial, Denial::Anonymous { .. })
        || headers.get("last-event-id").is_some_and(|cursor| !cursor.is_empty());
    (may_help && had_some && !events::wants_status(query, headers)).then_some(reason)
}

/// Tells the client to get new credentials, and when to come back if it does nothing.
pub(super) fn tell(
    edge: &Edge,
    reason: &'static str,
    caller: Caller,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response {
    let tallies = edge.runs.ground.hub.tallies();
    match edge.comebacks.turn(caller, Instant::now()) {
        Ok(wait) => {
            tallies.asked_to_renew(reason);
            let retry = edge.runs.ground.jittered(wait);
            let cursor = cursor_text(query, headers);
            events::whole_stream(reason, &control::asked_to_renew(reason, retry, cursor.as_deref()))
        }
        Err(wait) => {
            tallies.refused("expired-rate");
            let detail = "the client comes back with credentials that no longer count, and does not wait as it is told; \
                          get new credentials first";
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let problem = Problem::new(429, "expired-rate", "Come back with new credentials", detail);
            Answer::from(problem.retry_after(seconds)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_waits_for_its_turn_is_answered_for_ever_and_one_that_does_not_gets_a_status() {
        let began = Instant::now();
        let comebacks = Comebacks::new(&Limits::default(), began);
        let [waits, hurries] = [[1; 32], [2; 32]].map(Caller::Credentials);
        let mut now = began;
        for _ in 0..10_000 {
            now += comebacks.turn(waits.clone(), now).unwrap().mul_f64(0.5);
        }
        let waited: Vec<_> = (0..301).map(|_| comebacks.turn(hurries.clone(), now)).collect();
        let told: Vec<u64> = waited[..300].iter().map(|wait| wait.unwrap().as_secs()).collect();
        assert!(told.is_sorted() && told[0] == 10 && told[299] == 300, "{told:?}");
        assert_eq!(waited[300], Err(Duration::from_secs(1)));
        assert!(comebacks.turn(waits, now).is_ok(), "another client is not held to account for it");
    }

    #[test]
    fn many_browsers_behind_one_address_are_spread() {
        let began = Instant::now();
        let comebacks = Comebacks::new(&Limits::default(), began);
        let caller = || Caller::Address([192, 0, 2, 7].into());
        let waits: Vec<_> = (0..20_000).map(|_| comebacks.turn(caller(), began).unwrap().as_secs()).collect();
        assert_eq!((waits[0], waits[19_999]), (10, 200));
    }
}
