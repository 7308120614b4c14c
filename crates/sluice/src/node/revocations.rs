//! Revocations in the cluster: a log like any other, in a topic of Sluice's own, that every process reads from its
//! beginning and then on and on.
//!
//! It is read twice a second and not followed by announcements: a revocation is rare, half a second is what it may
//! take, and a process that only publishes has no subscription and needs no right to one.
//!
//! A failover may lose the end of the log. What a process has read it keeps in memory, and what the log lacks it writes
//! again (`revocations/log.rs`); the entries say themselves which of two is later (`sluice-access`).

mod log;
mod request;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_access::{Access, REVOCATIONS_TOPIC, Rate, Revocation};
use sluice_broker::{Broker, BrokerError, ReplicaWait, Replicas, now_ms};
use sluice_diagnostics::{Outage, Repeated, millis as millis_of};
use sluice_publisher::{RevokeError, Revoking};
use sluice_runtime::config::Config;
use sluice_runtime::ops;
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::time::sleep;

use self::log::Reader;
use self::request::shown;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(500);
/// How long replicas have to confirm a revocation.
const REPLICAS_WITHIN: Duration = Duration::from_secs(1);
/// Revocations that are listed.
const LISTED_MAX: usize = 1_000;

/// What a process does with the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct RevocationSettings {
    /// The longest that anybody can be revoked for.
    pub(super) longest: Duration,
    /// How many may be in force at once.
    pub(super) in_force_max: usize,
    /// Whether the process removes what is no longer needed: one that may write it.
    pub(super) trims: bool,
}

/// Why nobody was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request is wrong; what would be right.
    Wrong(String),
    /// It is for the operator alone.
    NotAllowed(String),
    /// As many are in force as may be.
    TooMany(String),
    /// Redis; what is known of the revocation.
    Unavailable(String),
}

/// Who asks for a revocation.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// Somebody at the operations listener.
    Operator,
    /// An application, by the subject of its API key.
    Application(&'a str),
}

/// The log of revocations, to write to and to follow. Clones are cheap.
#[derive(Clone)]
pub(super) struct Revocations {
    broker: Arc<dyn Broker>,
    access: Access,
    topic: Topic,
    settings: RevocationSettings,
    /// The end of what was read.
    read_to: Arc<Mutex<EventId>>,
    /// Why the log could not be read the last time.
    problem: Arc<Mutex<Option<String>>>,
}

impl Revocations {
    pub(super) fn new(broker: Arc<dyn Broker>, access: Access, settings: RevocationSettings) -> Option<Self> {
        let topic = Topic::parse(REVOCATIONS_TOPIC).ok()?;
        Some(Self { broker, access, topic, settings, read_to: Arc::default(), problem: Arc::default() })
    }

    /// Takes in what the log holds and what comes, as long as it is polled.
    pub(super) async fn follow(self) {
        let (mut reader, mut outage) = (Reader::default(), Outage::default());
        loop {
            match self.look(&mut reader).await {
                Ok(()) => {
                    self.access.revocations_known();
                    *self.kept_problem() = None;
                    if let Some(took) = outage.ended(Instant::now()) {
                        tracing::info!(took_ms = millis_of(took), "reading the log of revocations again");
                    }
                }
                Err(error) => {
                    reader = Reader::default();
                    *self.kept_problem() = Some(error.to_string());
                    self.report(&error, outage.failed(Instant::now()));
                }
            }
            *self.read_to.lock().unwrap_or_else(sluice_failure::poisoned) = reader.position;
            self.access.prune_revocations(now_ms());
            sleep(LOOK).await;
        }
    }

    /// Why the log could not be read the last time, if it could not.
    pub(super) fn problem(&self) -> Option<String> {
        self.kept_problem().clone()
    }

    fn kept_problem(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    fn report(&self, error: &BrokerError, due: Option<Repeated>) {
        let Some(due) = due else { return };
        let failures = if let Repeated::Still { failures, .. } = due { failures } else { 1 };
        if self.access.are_revocations_known() {
            tracing::warn!(%error, failures, "cannot read the log of revocations; those that are known stay in force, retrying");
        } else {
            let what = "cannot read the log of revocations; no token is accepted until it is read, retrying";
            tracing::warn!(%error, failures, "{what}");
        }
    }

    /// Revokes for somebody at the operations listener.
    pub(super) async fn for_operator(self, body: Vec<u8>) -> Result<Value, ops::Refused> {
        self.revoke(body, By::Operator).await.map_err(|refused| match refused {
            Refused::Wrong(detail) | Refused::NotAllowed(detail) => ops::Refused::Wrong(detail),
            Refused::TooMany(detail) => ops::Refused::TooMany(detail),
            Refused::Unavailable(detail) => ops::Refused::Unavailable(detail),
        })
    }

    /// What the publisher's listener offers to applications.
    pub(super) fn for_applications(&self, config: &Config) -> Revoking {
        let limits = &config.limits;
        let rate = Rate { per_second: limits.revoke_per_second, burst: limits.revoke_burst };
        let (listed, revoking) = (self.clone(), self.clone());
        let revoke = move |body, subject: Arc<str>| {
            let revocations = revoking.clone();
            async move {
                let revoked = revocations.revoke(body, By::Application(&subject)).await;
                revoked.map_err(|refused| match refused {
                    Refused::Wrong(detail) => RevokeError::Wrong(detail),
                    Refused::NotAllowed(detail) => RevokeError::NotAllowed(detail),
                    Refused::TooMany(detail) => RevokeError::TooMany(detail),
                    Refused::Unavailable(detail) => RevokeError::Unavailable(detail),
                })
            }
        };
        Revoking::new(rate, move || listed.list(), revoke)
    }

    /// Those in force.
    pub(super) fn list(&self) -> Value {
        let listed = self.access.revocations(now_ms(), LISTED_MAX);
        json!({ "revocations": listed.iter().map(shown).collect::<Vec<_>>() })
    }

    /// Revokes what `body` says: a subject or a token's id, of one issuer or of all, all of its credentials or those issued
    /// before a moment, and until when.
    pub(super) async fn revoke(self, body: Vec<u8>, by: By<'_>) -> Result<Value, Refused> {
        let asked = request::read(&body, self.settings.longest, now_ms()).map_err(Refused::Wrong)?;
        if let (By::Application(_), Some(name)) = (by, request::api_key(&asked)) {
            return Err(Refused::NotAllowed(format!(
                "{name} is an API key; API keys are revoked at the operations listener"
            )));
        }
        // A later word than any that is in the log, by whichever process.
        let caught_up = self.catch_up().await;
        caught_up.map_err(|error| Refused::Unavailable(format!("nothing was written: {error}")))?;
        let revocation = self.stamped(asked)?;
        let replicas = self.replicas().await;
        let connected = replicas.map(|replicas| replicas.connected);
        let (id, confirmed) = self.append(&revocation, connected.unwrap_or(0)).await?;
        // One that is not connected now may take over all the same.
        let is_confirmed = replicas.is_some_and(|Replicas { connected, take_over }| {
            confirmed >= connected.max(usize::from(take_over))
        });
        let by = match by {
            By::Operator => "operations listener",
            By::Application(subject) => subject,
        };
        let Revocation { revoked, issued_before_s, until_ms, .. } = &revocation;
        tracing::info!(?revoked, issued_before_s, until_ms, by, %id, confirmed = is_confirmed, "revoked credentials");
        let mut told = shown(&revocation);
        told["id"] = json!(id.to_string());
        told["confirmed"] = json!(is_confirmed);
        told["replicas"] = json!({ "connected": connected, "confirmed": confirmed });
        self.access.revoke(revocation.clone(), now_ms());
        // Whoever lifts one should learn that the name stays refused by another.
        let mut others = self.access.revocations_of(&revocation.revoked.whom, now_ms());
        others.retain(|other| other.about() != revocation.about());
        if !others.is_empty() {
            told["also"] = others.iter().map(shown).collect();
        }
        Ok(told)
    }

    /// As it is to be written: later than the latest that is known about the same, and kept for as long as that could come
    /// back if it lifts it.
    fn stamped(&self, mut revocation: Revocation) -> Result<Revocation, Refused> {
        let now_ms = now_ms();
        let before = self.access.latest_revocation(&revocation.about());
        let made_ms = before.as_ref().map_or(0, |before| before.made_ms.saturating_add(1));
        revocation.made_ms = made_ms.max(now_ms);
        if !revocation.is_in_force(now_ms) {
            let longest_ms = u64::try_from(self.settings.longest.as_millis()).unwrap_or(u64::MAX);
            let before_ms = before.as_ref().map_or(0, Revocation::end_ms);
            revocation.kept_until_ms = now_ms.saturating_add(longest_ms).max(before_ms);
        } else if before.is_none_or(|before| !before.is_in_force(now_ms)) {
            let (in_force, most) = (self.access.prune_revocations(now_ms), self.settings.in_force_max);
            if in_force >= most {
                return Err(Refused::TooMany(format!(
                    "{in_force} revocations are in force, as many as auth.revocations_max allows; revoke for a shorter time, \
                     by subject instead of by token, or raise it"
                )));
            }
        }
        Ok(revocation)
    }

    /// The replicas that are to have what is written, where that can be told.
    async fn replicas(&self) -> Option<Replicas> {
        let replicas = self.broker.replicas(&self.topic).await;
        let unknown = |error: &BrokerError| {
            tracing::warn!(%error, "cannot tell how many replicas there are; the revocation is not confirmed");
        };
        replicas.inspect_err(unknown).ok()
    }

    /// Writes one down; its id, and how many replicas have it.
    async fn append(&self, revocation: &Revocation, replicas: usize) -> Result<(EventId, usize), Refused> {
        let event = NewEvent::new(self.topic.clone(), revocation.to_json());
        let replicas = u8::try_from(replicas).unwrap_or(u8::MAX);
        let wait = ReplicaWait { replicas, timeout: REPLICAS_WITHIN };
        let appended = self.broker.append_replicated(&[event], wait).await.pop();
        match appended.unwrap_or_else(|| Err(BrokerError::Unexpected("no answer".to_owned()))) {
            Ok(appended) => Ok((appended.id, usize::from(replicas))),
            Err(BrokerError::NotReplicated { id, confirmed, .. }) => Ok((id, confirmed)),
            Err(error) => Err(Refused::Unavailable(format!(
                "it may or may not have been written; send it again, which harms nothing: {error}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
