//! When a stream that is let in is to be ended: at its greatest age, or with what it was let in by.

use std::time::{Duration, Instant};

use sluice_access::Identity;
use sluice_fanout::{Deadline, End, Shard};

use crate::control;
use crate::settings::StreamSettings;

/// The end of a stream, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) at: Instant,
    pub(crate) end: End,
}

impl Ends {
    /// The end of a stream that begins `now` for `identity`, if it has one.
    pub(crate) fn of(
        streams: &StreamSettings,
        identity: &Identity,
        now: Instant,
        now_ms: u64,
    ) -> Option<Self> {
        let age = streams.max_age.map(|age| (control::aged(age), End::Age));
        let expiry = identity.expires_at_ms.map(|expires_at_ms| {
            let left = Duration::from_millis(expires_at_ms.saturating_sub(now_ms));
            (expiring(left, streams, fastrand::f64()), End::Expiry)
        });
        let (after, end) = [age, expiry].into_iter().flatten().min_by_key(|(after, _)| *after)?;
        Some(Self { at: now.checked_add(after)?, end })
    }

    /// What a shard's clock says is the end of a stream.
    pub(crate) fn from_deadline(deadline: Deadline, shard: &Shard) -> Option<Self> {
        let (at_s, now_s) = (deadline.at_s()?, shard.seconds_from_now(Duration::ZERO));
        let at = Instant::now() + Duration::from_secs(at_s.saturating_sub(now_s).into());
        deadline.has_come(at_s).map(|end| Self { at, end })
    }

    /// When what a stream was let in by is good no more, if that is its end.
    pub(crate) fn expiry(ends: Option<Self>) -> Option<Instant> {
        ends.filter(|ends| ends.end == End::Expiry).map(|ends| ends.at)
    }

    /// The same by a shard's clock.
    pub(crate) fn deadline(ends: Option<Self>, shard: &Shard) -> Deadline {
        ends.map_or(Deadline::NEVER, |Self { at, end }| {
            let after = at.saturating_duration_since(Instant::now());
            Deadline::at(shard.seconds_from_now(after), end)
        })
    }
}

/// When a token with this time left ends its stream: a little earlier, by chance, than itself, but never by more than a
/// fifth of what is left. One that is past its end and was let in all the same has as long as clocks may be off.
fn expiring(left: Duration, streams: &StreamSettings, chance: f64) -> Duration {
    if left.is_zero() {
        return streams.leeway;
    }
    left - streams.expiry_jitter.min(left / 5).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_its_token_or_a_little_earlier() {
        let streams = StreamSettings::default();
        let s = Duration::from_secs;
        for (left, chance, after) in
            [(s(600), 0.0, s(600)), (s(600), 1.0, s(590)), (s(10), 1.0, s(8)), (s(0), 1.0, s(10))]
        {
            assert_eq!(expiring(left, &streams, chance), after);
        }
    }
}
