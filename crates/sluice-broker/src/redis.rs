//! The Redis backend. A stream a topic is its log, a channel a topic its fast path, and `publish.lua` the one
//! writer of both.
//!
//! Commands go over pooled connections (`pool.rs`); announcements come over one supervised connection for
//! each listener (`subscriber.rs`). Where the servers are and how they are dialled is known to `topology.rs`
//! alone. Nothing here prints an address with its password.

mod append;
mod diagnosis;
mod dial;
mod failure;
mod keys;
mod parse;
mod pool;
mod read;
mod scripts;
mod settings;
mod subscriber;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sluice_wire::{EventId, NewEvent, Topic};
use tokio_util::task::TaskTracker;

use self::append::Appending;
pub use self::diagnosis::{Asked, ClockSkew, Duties, Fields, RedisFacts};
use self::dial::Dialler;
use self::keys::Keys;
use self::pool::Pool;
pub use self::scripts::PUBLISH_SCRIPT;
pub use self::settings::{RedisLogin, RedisSettings, RedisTls};
use crate::url::{Address, Form, Place};
use crate::{
    Appended, Broker, BrokerError, BrokerSettings, Listener, LogHead, Page, Retention, RetentionPolicies,
    Subscriber, Tails,
};

/// The broker behind `redis://`.
#[derive(Debug)]
pub struct RedisBroker {
    dialler: Dialler,
    address: Address,
    pool: Arc<Pool>,
    keys: Keys,
    appending: Appending,
    retention: RetentionPolicies,
    settings: RedisSettings,
    tracker: TaskTracker,
}

impl RedisBroker {
    /// A broker at `settings.url`, without a connection yet. `settings.memory` is not looked at.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Refused`] when address or prefix cannot work.
    pub fn new(settings: BrokerSettings, tracker: TaskTracker) -> Result<Self, BrokerError> {
        let Place::Redis(place) = settings.url.place() else {
            return Err(BrokerError::Refused("memory:// is not Redis".to_owned()));
        };
        let dialler = Dialler::for_servers(place, &settings.redis).map_err(BrokerError::Refused)?;
        let (Form::Standalone, Some(address)) = (&place.form, place.hosts.first().cloned()) else {
            return Err(BrokerError::Refused("this topology is not built yet".to_owned()));
        };
        let keys = Keys::new(&settings.redis.prefix).map_err(BrokerError::Refused)?;
        let pool = Arc::new(Pool::new(&dialler, &address, settings.redis.pool_size)?);
        let appending = Appending::new("PUBLISH", settings.once_window);
        let (retention, settings) = (settings.retention, settings.redis);
        Ok(Self { dialler, address, pool, keys, appending, retention, settings, tracker })
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        self.appending.append(&self.pool, &self.keys, &self.retention, events).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        read::heads(&self.pool, &self.keys, topics).await
    }

    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        read::range(&self.pool, &self.keys.log(topic), from, to, limit).await
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        let page = read::backwards(&self.pool, &self.keys.log(topic), at, 1).await?;
        Ok(page.first)
    }

    async fn position_before_last(&self, topic: &Topic, count: usize) -> Result<EventId, BrokerError> {
        read::position_before_last(&self.pool, &self.keys, topic, count).await
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        read::tails(&self.pool, &self.keys, positions, limit).await
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        let began = Instant::now();
        self.pool.command(&redis::cmd("PING")).await?;
        Ok(began.elapsed())
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.retention.of(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        let parts = subscriber::Parts {
            dialler: self.dialler.clone(),
            address: self.address.clone(),
            keys: self.keys.clone(),
            pool: Arc::clone(&self.pool),
            settings: self.settings.clone(),
            listener,
        };
        Box::new(subscriber::listen(parts, &self.tracker))
    }
}
