//! stub
use crate::{
    Appended, Broker, BrokerError, BrokerSettings, Listener, LogHead, Page, Retention, Subscriber, Tails,
};
use async_trait::async_trait;
use sluice_wire::{EventId, NewEvent, Topic};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// The script that appends and announces an event.
pub const PUBLISH_SCRIPT: &str = "";

pub(crate) fn check_url(_url: &str) -> Result<(), String> {
    Ok(())
}

/// How Redis is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// First part of every key and channel.
    pub prefix: String,
    /// Connections for commands.
    pub pool_size: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// How often the subscriber's connection is probed.
    pub probe_interval: Duration,
    /// How long a probe may take before the connection is given up.
    pub probe_deadline: Duration,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            prefix: "sluice".to_owned(),
            pool_size: 4,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            probe_interval: Duration::from_secs(2),
            probe_deadline: Duration::from_secs(3),
        }
    }
}

/// The broker behind `redis://`.
#[derive(Debug)]
pub struct RedisBroker;

impl RedisBroker {
    /// New.
    pub fn new(_settings: BrokerSettings, _tracker: TaskTracker) -> Result<Self, BrokerError> {
        Ok(Self)
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn append(&self, _: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        unimplemented!()
    }
    async fn heads(&self, _: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        unimplemented!()
    }
    async fn read(&self, _: &Topic, _: EventId, _: EventId, _: usize) -> Result<Page, BrokerError> {
        unimplemented!()
    }
    async fn newest_until(&self, _: &Topic, _: EventId) -> Result<Option<EventId>, BrokerError> {
        unimplemented!()
    }
    async fn position_before_last(&self, _: &Topic, _: usize) -> Result<EventId, BrokerError> {
        unimplemented!()
    }
    async fn tails(&self, _: &[(Topic, EventId)], _: usize) -> Result<Tails, BrokerError> {
        unimplemented!()
    }
    async fn ping(&self) -> Result<Duration, BrokerError> {
        unimplemented!()
    }
    fn retention(&self, _: &Topic) -> Retention {
        unimplemented!()
    }
    fn listen(&self, _: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        unimplemented!()
    }
}
