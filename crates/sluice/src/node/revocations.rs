//! Revocations in the cluster: a log like any other, in a topic of Sluice's own, that every process reads from its
//! beginning and then on and on.
//!
//! It is read twice a second and not followed by announcements: a revocation is rare, half a second is what it may
//! take, and a process that only publishes has no subscription and needs no right to one. Now and then all of the
//! log is read anew, so that what a failover brought back or took away is seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sluice_access::{Access, REVOCATIONS_TOPIC, Revocation, Revoked, Whom};
use sluice_broker::{Broker, BrokerError, now_ms};
use sluice_diagnostics::{Outage, Repeated, millis as millis_of};
use sluice_runtime::ops::Refused;
use sluice_wire::{EventId, NewEvent, Topic, rfc3339};
use tokio::time::sleep;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(500);
/// Looks from one reading of the whole log to the next.
const LOOKS_PER_ROUND: u32 = 240;
const PAGE_EVENTS: usize = 500;
/// Revocations that are listed.
const LISTED_MAX: usize = 1_000;

/// The log of revocations, to write to and to follow. Clones are cheap.
#[derive(Clone)]
pub(super) struct Revocations {
    broker: Arc<dyn Broker>,
    access: Access,
    topic: Topic,
    longest: Duration,
    /// Why the log could not be read the last time.
    problem: Arc<Mutex<Option<String>>>,
}

impl Revocations {
    pub(super) fn new(broker: Arc<dyn Broker>, access: Access, longest: Duration) -> Option<Self> {
        let topic = Topic::parse(REVOCATIONS_TOPIC).ok()?;
        Some(Self { broker, access, topic, longest, problem: Arc::default() })
    }

    /// Takes in what the log holds and what comes, as long as it is polled.
    pub(super) async fn follow(self) {
        let (mut position, mut looks) = (EventId::ZERO, 0);
        let mut outage = Outage::default();
        loop {
            if looks % LOOKS_PER_ROUND == 0 {
                position = EventId::ZERO;
            }
            looks = looks.wrapping_add(1);
            match self.read_on(&mut position).await {
                Ok(()) => {
                    self.access.revocations_known();
                    *self.kept_problem() = None;
                    if let Some(took) = outage.ended(Instant::now()) {
                        tracing::info!(took_ms = millis_of(took), "reading the log of revocations again");
                    }
                }
                Err(error) => {
                    // Reading begins anew, at the beginning of the log.
                    looks = 0;
                    *self.kept_problem() = Some(error.to_string());
                    self.report(&error, outage.failed(Instant::now()));
                }
            }
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

    /// Takes in all behind `position`. Of several about the same, the last alone: an earlier one might refuse for a
    /// moment whom a later one lets in.
    async fn read_on(&self, position: &mut EventId) -> Result<(), BrokerError> {
        let mut latest: HashMap<Revoked, u64> = HashMap::new();
        loop {
            let page = self.broker.read(&self.topic, position.after(), EventId::MAX, PAGE_EVENTS).await?;
            for event in &page.events {
                match Revocation::from_json(&event.data) {
                    Some(Revocation { revoked, until_ms }) => drop(latest.insert(revoked, until_ms)),
                    None => {
                        tracing::warn!(id = %event.id, "skipped an entry of the log of revocations that is not a revocation");
                    }
                }
            }
            *position = page.last.unwrap_or(*position);
            if !page.more {
                break;
            }
        }
        for (revoked, until_ms) in latest {
            self.access.revoke(Revocation { revoked, until_ms }, now_ms());
        }
        Ok(())
    }

    /// Those in force.
    pub(super) fn list(&self) -> Value {
        let listed = self.access.revocations(now_ms(), LISTED_MAX);
        json!({ "revocations": listed.iter().map(shown).collect::<Vec<_>>() })
    }

    /// Revokes what `body` says: a subject or a token's id, of one issuer or of all, and until when.
    pub(super) async fn revoke(self, body: Vec<u8>) -> Result<Value, Refused> {
        let revocation = self.read(&body).map_err(Refused::Wrong)?;
        let event = NewEvent::new(self.topic.clone(), revocation.to_json());
        let appended = self.broker.append(&[event]).await.pop();
        let appended = appended.unwrap_or_else(|| Err(BrokerError::Unexpected("no answer".to_owned())));
        let id = appended.map_err(|error| Refused::Unavailable(error.to_string()))?.id;
        tracing::info!(revoked = ?revocation.revoked, until_ms = revocation.until_ms, %id, "revoked");
        let mut told = shown(&revocation);
        told["id"] = json!(id.to_string());
        self.access.revoke(revocation.clone(), now_ms());
        // Whoever lifts one should learn that the name stays refused by another.
        let mut others = self.access.revocations_of(&revocation.revoked.whom, now_ms());
        others.retain(|other| other.revoked != revocation.revoked);
        if !others.is_empty() {
            told["also"] = others.iter().map(shown).collect();
        }
        Ok(told)
    }

    fn read(&self, body: &[u8]) -> Result<Revocation, String> {
        let wanted = "send {\"subject\": \"..\"} or {\"token_id\": \"..\"}, \"issuer\" if one alone is meant, and \"for_s\" or \
                      \"until\" (RFC 3339)";
        let body: Value = serde_json::from_slice(body).map_err(|_| wanted.to_owned())?;
        let body = body.as_object().ok_or(wanted)?;
        let known = ["subject", "token_id", "issuer", "for_s", "until"];
        if let Some(key) = body.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("there is no {key:?} here; {wanted}"));
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let whom = match (text("subject"), text("token_id")) {
            (Some(subject), None) => Whom::Subject(subject),
            (None, Some(token_id)) => Whom::TokenId(token_id),
            _ => return Err(wanted.to_owned()),
        };
        let issuer = text("issuer");
        if issuer.is_none() && body.contains_key("issuer") {
            return Err("the issuer must be a text, the `iss` of its tokens".to_owned());
        }
        let until_ms = match (body.get("for_s").map(Value::as_u64), text("until")) {
            (Some(Some(seconds)), None) => now_ms().saturating_add(seconds.saturating_mul(1_000)),
            (None, Some(until)) => {
                let until =
                    humantime::parse_rfc3339_weak(&until).map_err(|error| format!("until: {error}"))?;
                millis(until)
            }
            _ => return Err(wanted.to_owned()),
        };
        let longest_ms = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        if until_ms > now_ms().saturating_add(longest_ms) {
            return Err(format!(
                "nobody can be revoked for longer than auth.revocation_max_s, {}: the log is kept no longer",
                self.longest.as_secs()
            ));
        }
        let revocation = Revocation { revoked: Revoked { whom, issuer }, until_ms };
        let reads_back = Revocation::from_json(&revocation.to_json()).is_some();
        if reads_back {
            Ok(revocation)
        } else {
            Err("a subject, an id and an issuer have 1 to 256 bytes".to_owned())
        }
    }
}

fn shown(revocation: &Revocation) -> Value {
    // An entry of the log holds any number; `null` is a moment after the year 9999.
    let until = rfc3339(revocation.until_ms);
    let Revoked { whom, issuer } = &revocation.revoked;
    let mut shown = match whom {
        Whom::Subject(subject) => json!({ "subject": subject, "until": until }),
        Whom::TokenId(token_id) => json!({ "token_id": token_id, "until": until }),
    };
    if let Some(issuer) = issuer {
        shown["issuer"] = json!(issuer);
    }
    shown
}

fn millis(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// An entry of the log may hold any number, since anybody who may XADD chooses it.
        #[test]
        fn a_revocation_until_any_moment_is_listed(until_ms: u64) {
            let entry = format!(r#"{{"subject":"u","until_ms":{until_ms}}}"#);
            let shown = shown(&Revocation::from_json(&entry).unwrap());
            prop_assert_eq!(&shown["subject"], "u");
            prop_assert_eq!(shown["until"].as_str().map(str::to_owned), rfc3339(until_ms));
        }
    }
}
