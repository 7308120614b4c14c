//! Tries what a process must be able to do, for readiness: with the user, the channels and the keys that it has, on
//! every server. Appending is tried by a real event, in a log of Sluice's own that expires.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use redis::{Pipeline, Value};
use sluice_wire::{IdempotencyKey, NewEvent, Topic};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::append::Appending;
use super::diagnosis::trials;
use super::layout::{self, Layout, Shard};
use super::subscriber::probe;
use super::{RedisBroker, failure};
use crate::url::Address;
use crate::{
    AccessCheck, Announcement, BrokerError, Duties, Listener, ReplicaWait, Retention, RetentionPolicies,
};

/// How long the event of a check stays.
const KEPT: Duration = Duration::from_secs(60);

/// Names tried until one is in a slot of the server.
const NAMES_TRIED: u32 = 400_000;

type Outcome = Result<(), BrokerError>;

/// Tries every duty on every server, side by side.
pub(super) async fn all(broker: &RedisBroker, duties: Duties) -> Vec<AccessCheck> {
    let deadline = Instant::now() + broker.servers.dialler().timeouts().0;
    let (reading, appending) = (duties.reading || duties.holding, duties.appending);
    let layout = match broker.servers.scout().known(deadline).await {
        Ok(layout) => layout,
        Err(why) => {
            let names = [("subscribe", duties.reading), ("read", reading), ("append", appending)];
            let names = names.into_iter().filter(|(_, needed)| *needed);
            return names.map(|(name, _)| AccessCheck { name, outcome: Err(why.clone()) }).collect();
        }
    };
    let subscribing = async {
        let parts = broker.subscriber_parts(Arc::new(Deaf));
        on_each(&layout, duties.reading, |shard| probe::prove(&parts, &shard.primary)).await
    };
    let keys = async {
        // One after the other: both use the connections that commands share.
        let read = on_each(&layout, reading, |shard| try_commands(broker, reading_part(duties), shard)).await;
        let append = on_each(&layout, appending, |shard| try_to_append(broker, duties, shard)).await;
        (read, append)
    };
    let (subscribed, (read, appended)) = join(subscribing, keys).await;
    let checks = [("subscribe", subscribed), ("read", read), ("append", appended)];
    checks.into_iter().filter_map(|(name, outcome)| Some(AccessCheck { name, outcome: outcome? })).collect()
}

/// What came of `attempt` on all servers; `None` where it is not `needed`.
async fn on_each<'a, F: Future<Output = Outcome>>(
    layout: &'a Layout,
    needed: bool,
    attempt: impl Fn(&'a Shard) -> F,
) -> Option<Outcome> {
    if !needed {
        return None;
    }
    Some(merged(join_all(layout.shards().iter().map(attempt)).await))
}

/// A refusal by one server counts: the same user will be refused by it for good. A server that is away does not, as
/// long as another one can be used.
fn merged(outcomes: Vec<Outcome>) -> Outcome {
    let refused = |outcome: &&Outcome| outcome.as_ref().is_err_and(|why| !why.is_transient());
    if let Some(refusal) = outcomes.iter().find(refused) {
        return refusal.clone();
    }
    if outcomes.iter().any(Result::is_ok) {
        return Ok(());
    }
    let none = || Err(BrokerError::Unavailable("no Redis server is known".to_owned()));
    outcomes.into_iter().next().unwrap_or_else(none)
}

fn reading_part(duties: Duties) -> Duties {
    Duties { appending: false, waiting: false, ..duties }
}

/// Sends every command that `duties` need to the server, on the keys of a topic that it is in charge of.
async fn try_commands(broker: &RedisBroker, duties: Duties, shard: &Shard) -> Outcome {
    let topic = topic_of(shard)?;
    let trials = trials::of(&broker.keys, broker.servers.announce_command(), duties, &topic)?;
    let mut pipeline = Pipeline::with_capacity(trials.len());
    for (_, command) in &trials {
        pipeline.add_command(command.clone());
    }
    let answers = broker.servers.pool(&shard.primary).pipeline(&pipeline).await;
    let answers = answers.map_err(|failure| failure.why)?;
    trials.iter().zip(answers).try_for_each(|((name, _), answer)| judged(name, &answer))
}

/// Complaints about the form of a trial prove the right to send it.
fn judged(name: &str, answer: &Value) -> Outcome {
    let Value::ServerError(error) = answer else { return Ok(()) };
    let why = failure::of_answer(error);
    let refused =
        error.code() == "NOPERM" || failure::is_not_let_in(error) || failure::is_unknown_command(error);
    match why {
        BrokerError::Refused(why) if refused => Err(BrokerError::Refused(format!("{name}: {why}"))),
        why if why.is_transient() => Err(why),
        _ => Ok(()),
    }
}

async fn try_to_append(broker: &RedisBroker, duties: Duties, shard: &Shard) -> Outcome {
    try_commands(broker, Duties { reading: false, holding: false, ..duties }, shard).await?;
    let kept = Retention { events_max: Some(1), age_max: None, idle_max: Some(KEPT) };
    let policies = RetentionPolicies { rules: Vec::new(), default: kept };
    let mut event = NewEvent::new(topic_of(shard)?, "ready");
    event.key = IdempotencyKey::parse(format!("{:016x}", fastrand::u64(..))).ok();
    let appending = Appending::new(broker.servers.announce_command(), KEPT);
    let (servers, keys) = (&broker.servers, &broker.keys);
    let appended =
        appending.append(servers, keys, &policies, &[event], ReplicaWait::default(), &Notify::new()).await;
    appended.into_iter().try_for_each(|outcome| outcome.map(drop))
}

/// A topic of Sluice's own whose keys are in the charge of `shard`: always the same one, so that there are no more of
/// them than servers.
fn topic_of(shard: &Shard) -> Result<Topic, BrokerError> {
    let names = (0..NAMES_TRIED).map(|number| format!("{}{number}", Topic::READINESS_PREFIX));
    let name = { names }.find(|name| shard.has(layout::slot(name.as_bytes())));
    let few = || BrokerError::Unavailable(too_few_slots(&shard.primary));
    name.and_then(|name| Topic::parse(&name).ok()).ok_or_else(few)
}

fn too_few_slots(address: &Address) -> String {
    format!("Redis at {address} serves too few slots to be tried")
}

/// Hears only probes, which the connection keeps to itself.
struct Deaf;

impl Listener for Deaf {
    fn announced(&self, _topic: &str, _message: Announcement) {}
    fn lost(&self, _topics: &[Topic]) {}
    fn restored(&self, _topics: &[Topic]) {}
    fn broken(&self, _why: &str) {}
    fn whole(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_counts_and_one_server_that_is_away_does_not() {
        let away = || Err(BrokerError::Unavailable("away".to_owned()));
        let refused = || Err(BrokerError::Refused("NOPERM".to_owned()));
        assert!(merged(vec![away(), Ok(())]).is_ok());
        assert!(matches!(merged(vec![Ok(()), away(), refused()]), Err(BrokerError::Refused(_))));
        assert!(matches!(merged(vec![away(), away()]), Err(BrokerError::Unavailable(_))));
        assert!(merged(Vec::new()).is_err());
    }
}
