//! The configured Redis: its settings, its clock, what its user may do, and one subscription that is really
//! made. Nothing is published to a topic and nothing is kept.

mod judge;

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Announcement, Broker, BrokerError, Duties, Listener, RedisBroker, settings_faults};
use sluice_runtime::config::Config;
use sluice_wire::Topic;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::finding::Finding;
use judge::{Context, Listening};

/// Between two looks at whether the subscription's probe came back.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Asks the configured Redis; what was found, by server. An answer that does not come is a finding, too.
pub(super) async fn examine(config: &Config) -> anyhow::Result<Vec<(String, Vec<Finding>)>> {
    let address = config.redis.url.to_string();
    if config.redis.url.is_memory() {
        return Ok(vec![(address, vec![judge::embedded()])]);
    }
    match visit(config).await {
        Ok(contexts) if contexts.len() == 1 => {
            Ok(contexts.iter().map(|context| (address.clone(), judge::all(context))).collect())
        }
        Ok(contexts) => {
            let named = |context: &Context| format!("{} of {address}", context.facts.address);
            Ok(contexts.iter().map(|context| (named(context), judge::all(context))).collect())
        }
        Err(Failure::Broker(error)) => Ok(vec![(address, vec![judge::unreachable(&error)])]),
        Err(Failure::Settings(faults)) => Ok(vec![(address, vec![judge::unusable(&faults)])]),
    }
}

/// Why nothing was learnt.
enum Failure {
    Broker(BrokerError),
    Settings(String),
}

fn has_credentials(config: &Config) -> bool {
    !config.auth.issuers.is_empty() || !config.auth.api_keys.is_empty()
}

/// What is to be judged, a context a server.
async fn visit(config: &Config) -> Result<Vec<Context>, Failure> {
    let settings = crate::settings::broker(config).map_err(|error| Failure::Settings(error.to_string()))?;
    let faults: Vec<String> = settings_faults(&settings).iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return Err(Failure::Settings(faults.join("; ")));
    }
    let broker = RedisBroker::new(settings, TaskTracker::new()).map_err(Failure::Broker)?;
    let duties = crate::settings::duties(config);
    // Revocations wait for replicas, too; a process that may not is ready all the same.
    let waiting = duties.waiting || (duties.appending && has_credentials(config));
    let duties = Duties { waiting, ..duties };
    let facts = broker.facts(duties).await.map_err(Failure::Broker)?;
    let mut listening = match duties.reading {
        true => Some(subscribe(&broker, config.redis.probe_deadline).await.map_err(Failure::Broker)?),
        false => None,
    };
    let context = |facts| Context {
        facts,
        // It is told once, with the first server.
        listening: listening.take(),
        duties,
        event_bytes_max: config.topics.event_bytes_max as u64,
        prefix: config.redis.prefix.clone(),
    };
    Ok(facts.into_iter().map(context).collect())
}

/// Whether a subscription hears itself; what the server says where it refuses it.
async fn subscribe(broker: &RedisBroker, deadline: Duration) -> Result<Listening, BrokerError> {
    let reading = Duties { reading: true, appending: false, waiting: false, holding: false };
    let checks = broker.check_access(reading).await;
    let check = checks.into_iter().find(|check| check.name == "subscribe");
    match check.map_or(Ok(()), |check| check.outcome) {
        Err(error) if !error.is_transient() => Ok(Listening::Refused(error.to_string())),
        _ => listen(broker, deadline).await,
    }
}

/// Subscribes as a node does, to a topic that nobody has, and waits for the connection's own probe.
async fn listen(broker: &RedisBroker, deadline: Duration) -> Result<Listening, BrokerError> {
    let name = format!("sluice.doctor/{:016x}", fastrand::u64(..));
    let topic = Topic::parse(&name).map_err(|error| BrokerError::Refused(error.to_string()))?;
    let subscriber = broker.listen(Arc::new(Deaf));
    if timeout(deadline, subscriber.add(&[topic])).await.is_err() {
        return Ok(Listening::Unconfirmed(deadline));
    }
    let until = Instant::now() + deadline;
    loop {
        match subscriber.health().probe_round_trip {
            Some(round_trip) => return Ok(Listening::Heard(round_trip)),
            None if Instant::now() >= until => return Ok(Listening::Unheard(deadline)),
            None => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Nobody publishes to the topic, and what happens to the connection shows in its health.
struct Deaf;

impl Listener for Deaf {
    fn announced(&self, _topic: &str, _message: Announcement) {}
    fn lost(&self, _topics: &[Topic]) {}
    fn restored(&self, _topics: &[Topic]) {}
    fn broken(&self, _why: &str) {}
    fn whole(&self) {}
}
