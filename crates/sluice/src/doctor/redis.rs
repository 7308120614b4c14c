//! The configured Redis: its settings, its clock, what its user may do, and one subscription that is really
//! made. Nothing is published to a topic and nothing is kept.

mod judge;

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Announcement, Broker, BrokerError, Duties, Listener, RedisBroker};
use sluice_runtime::config::{Config, Role};
use sluice_wire::Topic;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::finding::Finding;
use judge::{Context, Listening};

/// Between two looks at whether the subscription's probe came back.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Asks the configured Redis. An answer that does not come is a finding, too.
pub(super) async fn examine(config: &Config) -> anyhow::Result<Vec<Finding>> {
    if config.redis.url.is_memory() {
        return Ok(vec![judge::embedded()]);
    }
    let broker = match RedisBroker::new(crate::settings::broker(config)?, TaskTracker::new()) {
        Ok(broker) => broker,
        Err(error) => return Ok(vec![judge::unreachable(&error)]),
    };
    let duties = Duties { reading: config.role != Role::Publisher, appending: config.role != Role::Gateway };
    let facts = match broker.facts(duties).await {
        Ok(facts) => facts,
        Err(error) => return Ok(vec![judge::unreachable(&error)]),
    };
    let listening = match duties.reading {
        true => Some(listen(&broker, config.redis.probe_deadline).await?),
        false => None,
    };
    let event_bytes_max = config.topics.event_bytes_max as u64;
    Ok(judge::all(&Context {
        facts,
        listening,
        duties,
        event_bytes_max,
        prefix: config.redis.prefix.clone(),
    }))
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
    fn lost(&self, _why: &str) {}
    fn restored(&self) {}
}
