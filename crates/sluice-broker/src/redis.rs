//! The Redis backend. A stream a topic is its log, a channel a topic its fast path, and `publish.lua` the one
//! writer of both.
//!
//! Which server is in charge of what is a layout (`layout.rs`) that a scout keeps current (`scout.rs`); nothing
//! but the scout knows one topology from another. Commands go over pooled connections to each server
//! (`servers.rs`, `pool.rs`); announcements come over one supervised connection a server and listener
//! (`subscriber.rs`). Nothing here prints an address with its password.

mod access_check;
mod append;
mod diagnosis;
mod dial;
mod failure;
mod holding;
mod keys;
mod layout;
mod parse;
mod pasts;
mod pool;
mod read;
mod reckoning;
mod reports;
mod role;
mod scout;
mod scripts;
mod servers;
mod settings;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use self::append::Appending;
pub use self::diagnosis::{Asked, ClockSkew, Fields, RedisFacts};
use self::dial::Dialler;
pub use self::dial::SettingsFault;
use self::keys::Keys;
use self::scout::{Cluster, Scout, Sentinels};
pub use self::scripts::PUBLISH_SCRIPT;
use self::servers::Servers;
pub use self::settings::{RedisLogin, RedisSettings, RedisTls};
use crate::url::{Form, Place, RedisPlace};
use crate::{
    AccessCheck, Appended, Broker, BrokerError, BrokerSettings, CountedBack, Duties, Holding, Listener,
    LogHead, Page, Partition, ReplicaWait, Replicas, Retention, RetentionPolicies, Subscriber, Tails,
};

/// The broker behind `redis://`, `redis+sentinel://` and `redis+cluster://`.
#[derive(Debug)]
pub struct RedisBroker {
    servers: Arc<Servers>,
    keys: Keys,
    appending: Appending,
    retention: RetentionPolicies,
    settings: RedisSettings,
    tracker: TaskTracker,
    /// Whether replicas take over by themselves.
    take_over: bool,
}

impl RedisBroker {
    /// A broker at `settings.url`, without a connection yet. `settings.memory` is not looked at.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Refused`] when address, prefix or certificates cannot work.
    pub fn new(settings: BrokerSettings, tracker: TaskTracker) -> Result<Self, BrokerError> {
        let Place::Redis(place) = settings.url.place() else {
            return Err(BrokerError::Refused("memory:// is not Redis".to_owned()));
        };
        let refused = |faults: Vec<SettingsFault>| BrokerError::Refused(SettingsFault::all(&faults));
        let keys = Keys::new(&settings.redis.prefix).map_err(BrokerError::Refused)?;
        let servers = servers(place, &settings, &tracker).map_err(refused)?;
        let appending = Appending::new(servers.announce_command(), settings.once_window);
        let take_over = place.form != Form::Standalone;
        let (retention, settings) = (settings.retention, settings.redis);
        Ok(Self { servers: Arc::new(servers), keys, appending, retention, settings, tracker, take_over })
    }
}

impl RedisBroker {
    fn subscriber_parts(&self, listener: Arc<dyn Listener>) -> subscriber::Parts {
        let (servers, keys) = (Arc::clone(&self.servers), self.keys.clone());
        subscriber::Parts { servers, keys, settings: self.settings.clone(), listener }
    }
}

/// What is wrong with the settings of a broker, as far as it shows without a connection: its files, and what belongs
/// together. Empty where all is well.
#[must_use]
pub fn settings_faults(settings: &BrokerSettings) -> Vec<SettingsFault> {
    let Place::Redis(place) = settings.url.place() else { return Vec::new() };
    let mut faults = Vec::new();
    if let Err(problem) = Keys::new(&settings.redis.prefix) {
        faults.push(SettingsFault::new("redis.prefix", problem));
    }
    faults.extend(Dialler::for_servers(place, &settings.redis).err().unwrap_or_default());
    if matches!(place.form, Form::Sentinel { .. }) {
        for fault in Dialler::for_sentinels(place, &settings.redis).err().unwrap_or_default() {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    faults
}

/// The one place that knows one topology from another.
fn servers(
    place: &RedisPlace,
    settings: &BrokerSettings,
    tracker: &TaskTracker,
) -> Result<Servers, Vec<SettingsFault>> {
    let dialler = Dialler::for_servers(place, &settings.redis)?;
    let (hosts, servers, stop) = (place.hosts.clone(), dialler.clone(), settings.stop.clone());
    let scout = match &place.form {
        Form::Standalone => {
            let no_host = || vec![SettingsFault::new("redis.url", "names no host")];
            Scout::of_one(hosts.into_iter().next().ok_or_else(no_host)?)
        }
        Form::Sentinel { master } => {
            let (master, sentinels) = (master.clone(), Dialler::for_sentinels(place, &settings.redis)?);
            let look = move |calls| Sentinels::new(master, &hosts, servers, sentinels, calls);
            Scout::send_out(look, tracker, stop)
        }
        Form::Cluster => {
            let tls = place.tls;
            Scout::send_out(move |_| Cluster::new(hosts, servers, tls), tracker, stop)
        }
    };
    Ok(Servers::new(scout, dialler, settings.redis.pool_size, place.form == Form::Cluster))
}

#[async_trait]
impl Broker for RedisBroker {
    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        self.append_replicated(events, ReplicaWait::default()).await
    }

    async fn append_replicated(
        &self,
        events: &[NewEvent],
        wait: ReplicaWait,
    ) -> Vec<Result<Appended, BrokerError>> {
        self.append_and_confirm(events, wait, &Notify::new()).await
    }

    async fn append_and_confirm(
        &self,
        events: &[NewEvent],
        wait: ReplicaWait,
        appended: &Notify,
    ) -> Vec<Result<Appended, BrokerError>> {
        self.appending.append(&self.servers, &self.keys, &self.retention, events, wait, appended).await
    }

    async fn replicas(&self, topic: &Topic) -> Result<Replicas, BrokerError> {
        let answer = self.servers.read(self.keys.slot(topic), redis::cmd("ROLE")).await?;
        let connected = role::replicas(&answer).ok_or_else(|| failure::odd("ROLE", "list of replicas"))?;
        Ok(Replicas { connected, take_over: self.take_over })
    }

    async fn trim(&self, topic: &Topic, before: EventId) -> Result<(), BrokerError> {
        read::trim(&self.servers, &self.keys, topic, before).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        read::heads(&self.servers, &self.keys, topics).await
    }

    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        read::range(&self.servers, &self.keys, topic, (from, to), limit).await
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        let page = read::backwards(&self.servers, &self.keys, topic, at, 1).await?;
        Ok(page.first)
    }

    async fn newest_until_each(
        &self,
        points: &[(Topic, EventId)],
    ) -> Result<Vec<Option<EventId>>, BrokerError> {
        read::newest_until_each(&self.servers, &self.keys, points).await
    }

    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError> {
        let page = read::backwards(&self.servers, &self.keys, topic, from, entries).await?;
        Ok(CountedBack::of(&page))
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        read::tails(&self.servers, &self.keys, positions, limit).await
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        self.servers.ping().await
    }

    async fn hold(&self, holding: Holding<'_>) -> Result<Vec<u64>, BrokerError> {
        holding::hold(&self.servers, &self.keys, holding).await
    }

    fn partition(&self, topic: &Topic) -> Partition {
        self.servers.partition(|| self.keys.slot(topic))
    }

    fn partitions(&self) -> Vec<Partition> {
        self.servers.partitions()
    }

    async fn probe(&self, partition: &Partition) -> Result<(), BrokerError> {
        self.servers.probe(partition).await
    }

    async fn check_access(&self, duties: Duties) -> Vec<AccessCheck> {
        access_check::all(self, duties).await
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.retention.of(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        Box::new(subscriber::listen(self.subscriber_parts(listener), &self.tracker))
    }
}
