//! The `Broker` trait: what Sluice needs of the place where events are kept.
//!
//! # Semantics that every backend has
//!
//! - **A key names one event.** A second event with the key, type and data of the first is not appended and is
//!   answered with the first one's id; one whose type or data differ is refused ([`BrokerError::KeyReused`]).
//! - **Append is atomic with its announcement.** An event is first in the log, then announced; no other
//!   event of its topic comes between. When `append` has answered `Ok`, the event is in the log. When it has
//!   answered [`BrokerError::Unavailable`], the event may or may not be in the log: a retry with the same key is safe,
//!   one without may repeat it. [`BrokerError::NotReplicated`] says that it is, every other error that it is not.
//! - **The log is the truth.** Ids of a topic grow strictly. Reading returns what is retained, in order.
//!   Trimming removes from the old end only.
//! - **Announcements are a fast path that may lose.** Those that arrive of one topic arrive in the order of
//!   its log. One that was lost is noticed by the next one's `prev`, or, when it was the last, by comparing
//!   the position with the log ([`Broker::tails`]). Whoever needs every event uses
//!   [`Follower`](crate::Follower), which does both.
//! - **A topic needs no creation.** One without events has an empty log whose head is [`EventId::ZERO`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sluice_wire::envelope::LiveMessage;
use sluice_wire::{Event, EventId, NewEvent, Topic};
use tokio::sync::Notify;

use crate::{Holding, Partition, Retention};

/// Keeps the logs of topics and announces what is appended to them.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Appends and announces `events`, each on its own; answers one result an event, in order.
    ///
    /// Events of one topic are appended in the order given. The whole slice is one round trip.
    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>>;

    /// As [`Broker::append`], and waits until `wait.replicas` replicas have each event; an event that fewer
    /// have in time is in the log all the same and answered with [`BrokerError::NotReplicated`].
    ///
    /// The default is right for a backend that has no replicas.
    async fn append_replicated(
        &self,
        events: &[NewEvent],
        wait: ReplicaWait,
    ) -> Vec<Result<Appended, BrokerError>> {
        let answers = self.append(events).await;
        answers.into_iter().map(|answer| answer.and_then(|appended| wait.judge(appended, 0))).collect()
    }

    /// The replicas of the server that holds the log of `topic`.
    ///
    /// The default is right for a backend that has none.
    async fn replicas(&self, _topic: &Topic) -> Result<Replicas, BrokerError> {
        Ok(Replicas::default())
    }

    /// Removes the events of `topic` with ids less than `before`. For logs whose owner knows what is still needed; topics
    /// of applications are trimmed by their [`Retention`].
    ///
    /// The default is right for a backend that hands its topics on.
    async fn trim(&self, _topic: &Topic, _before: EventId) -> Result<(), BrokerError> {
        Ok(())
    }

    /// As [`Broker::append_replicated`]; `appended` is notified as soon as nothing but replicas is waited for. What is
    /// appended from then on comes after `events`.
    async fn append_and_confirm(
        &self,
        events: &[NewEvent],
        wait: ReplicaWait,
        appended: &Notify,
    ) -> Vec<Result<Appended, BrokerError>> {
        let answers = self.append_replicated(events, wait).await;
        appended.notify_one();
        answers
    }

    /// Where the logs of `topics` stand, in order. One round trip.
    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError>;

    /// The oldest `limit` retained events of `topic` with `from <= id <= to`.
    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError>;

    /// The newest retained id at or before `at`, if there is one.
    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError>;

    /// [`Broker::newest_until`] for each of `points`, in order. Backends that can do so answer in one round trip.
    async fn newest_until_each(
        &self,
        points: &[(Topic, EventId)],
    ) -> Result<Vec<Option<EventId>>, BrokerError> {
        let mut newest = Vec::with_capacity(points.len());
        for (topic, at) in points {
            newest.push(self.newest_until(topic, *at).await?);
        }
        Ok(newest)
    }

    /// Counts retained events from `from` backwards, of at most `entries` entries. One round trip, whose cost grows with
    /// the size of these entries: see [`position_before_last`](crate::position_before_last).
    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError>;

    /// Compares positions with logs: what stands behind each of `positions`, at most `limit` events a topic.
    /// Each topic stands in `positions` at most once. Never blocks for new events. One round trip.
    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError>;

    /// Proves that the broker answers; the round trip.
    async fn ping(&self) -> Result<Duration, BrokerError>;

    /// Says what a node holds and renews its lease; how many all other nodes together hold of each name asked, in order.
    ///
    /// What it says is written before the others are asked: of two nodes that hold the same name at the same moment,
    /// one at least knows of the other. The default is right for a backend that has one node.
    async fn hold(&self, holding: Holding<'_>) -> Result<Vec<u64>, BrokerError> {
        Ok(vec![0; holding.asked.len()])
    }

    /// What `topic` is available with, at this moment: another one after a failover, or when it was moved.
    ///
    /// The default is right for a backend whose topics are available all or none.
    fn partition(&self, _topic: &Topic) -> Partition {
        Partition::WHOLE
    }

    /// All that topics may be in at this moment.
    fn partitions(&self) -> Vec<Partition> {
        vec![Partition::WHOLE]
    }

    /// Proves that `partition` would take events. One that no topic is in any more proves it at once, so that
    /// whoever waits for it waits no longer.
    async fn probe(&self, _partition: &Partition) -> Result<(), BrokerError> {
        self.ping().await.map(drop)
    }

    /// Tries everything that `duties` need, as the user that this process is: subscribes to a channel of its own and
    /// hears itself, reads a log, appends to a log that expires. Returns one check for each duty.
    ///
    /// The default is right for a backend that asks nobody for rights.
    async fn check_access(&self, _duties: Duties) -> Vec<AccessCheck> {
        Vec::new()
    }

    /// What `topic` keeps, as far as this broker's own appends decide it.
    fn retention(&self, topic: &Topic) -> Retention;

    /// Begins to listen to announcements. `listener` is called from the connection's own task, inline and
    /// in order: it must neither block nor await. Listening ends when the answer is dropped.
    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber>;
}

/// What a process does with the broker, which decides what its user must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duties {
    /// It holds streams: reads logs and listens.
    pub reading: bool,
    /// It takes events in.
    pub appending: bool,
    /// It waits until replicas have them.
    pub waiting: bool,
    /// It tells other nodes what it holds.
    pub holding: bool,
}

/// What came of trying one duty. See [`Broker::check_access`].
#[derive(Debug, Clone)]
pub struct AccessCheck {
    /// `subscribe`, `read` or `append`.
    pub name: &'static str,
    /// An error that is not transient if any server refuses it; else success if one server at least allows it: a
    /// server that is away costs its own topics alone.
    pub outcome: Result<(), BrokerError>,
}

/// The set of topics whose announcements are wanted. Survives reconnects: the backend subscribes anew.
#[async_trait]
pub trait Subscriber: fmt::Debug + Send + Sync + 'static {
    /// Subscribes to `topics`; returns when each subscription is confirmed, so that everything appended
    /// from then on is announced (or lost with the connection, which [`Listener::lost`] tells). Waits
    /// through a lost connection. Batches with other calls under way.
    async fn add(&self, topics: &[Topic]);

    /// Forgets `topics`. Batched; announcements already under way may still arrive.
    fn remove(&self, topics: &[Topic]);

    /// How the connection fares, for metrics.
    fn health(&self) -> SubscriberHealth;
}

/// How a subscriber's connections fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriberHealth {
    /// Every subscription stands.
    pub connected: bool,
    /// Servers to be connected to: the shards of a cluster, else one.
    pub shards_wanted: usize,
    /// Of those, how many are, with their subscriptions.
    pub shards_connected: usize,
    /// Times a connection was lost.
    pub reconnects: u64,
    /// How long the last probe took from being published to being heard; the longest over the servers.
    pub probe_round_trip: Option<Duration>,
}

/// Receives announcements. Its methods run on the connection's own task.
pub trait Listener: Send + Sync + 'static {
    /// A message came on the live channel of `topic`.
    fn announced(&self, topic: &str, message: Announcement);
    /// Announcements of these topics may be missing from now on: their server's connection was lost, or they
    /// move to another server.
    fn lost(&self, topics: &[Topic]);
    /// The subscriptions of these topics stand again, or for the first time; announcements between `lost` and
    /// now are missing.
    fn restored(&self, topics: &[Topic]);
    /// Some connection that topics need does not stand; why. As it is at the beginning.
    fn broken(&self, why: &str);
    /// All do; each topic that was lost was restored before, or is on its way from one server to another.
    fn whole(&self);
}

/// What came on a live channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// A readable message.
    Message(LiveMessage),
    /// Bytes that are neither an envelope of a known version nor UTF-8 text; why, for the log.
    Foreign(String),
}

/// An accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its id.
    pub id: EventId,
    /// The key was seen before: `id` is the first event's and nothing was appended.
    pub repeated: bool,
}

/// The replicas of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replicas {
    /// How many are connected.
    pub connected: usize,
    /// One of them, connected or not, may take over at any time by itself: there are sentinels, or it is a cluster.
    pub take_over: bool,
}

/// How many replicas an append waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplicaWait {
    /// Replicas that must have the event; 0 waits for none.
    pub replicas: u8,
    /// How long they have, at least a millisecond; it is counted from the append.
    pub timeout: Duration,
}

impl ReplicaWait {
    /// `appended`, if as many replicas as are wanted `confirmed` it.
    pub(crate) fn judge(self, appended: Appended, confirmed: usize) -> Result<Appended, BrokerError> {
        let wanted = self.replicas;
        if confirmed >= usize::from(wanted) {
            return Ok(appended);
        }
        Err(BrokerError::NotReplicated { id: appended.id, confirmed, wanted })
    }
}

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogHead {
    /// The last id that the log generated; [`EventId::ZERO`] when there is no log.
    pub last: EventId,
    /// The oldest retained id.
    pub oldest: Option<EventId>,
    /// Nothing was ever removed: the log holds all that was appended to it. `false` where that is not known.
    pub whole: bool,
    /// The greatest id that somebody deleted by hand (XDEL); [`EventId::ZERO`] for none. Trimming is not that.
    pub deleted: EventId,
    /// Where there is no log: up to here an earlier one of the topic may have had entries; [`EventId::ZERO`] if nothing
    /// is known of one. A moment, its `seq` being `u64::MAX`. A log that exists says it in its first entry's `prev`.
    pub past: EventId,
}

/// Events of a log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The events. Entries that are not events of Sluice are left out.
    pub events: Vec<Event>,
    /// The id of the first entry read, including entries left out; `None` when nothing was read.
    pub first: Option<EventId>,
    /// The id of the last entry read, including entries left out; `None` when nothing was read.
    pub last: Option<EventId>,
    /// The limit was reached: there may be more behind `last`.
    pub more: bool,
    /// The ids of the entries left out, ascending: without a `data` field, or not UTF-8, so that no client can be
    /// given them. Positions move over them as over events.
    pub skipped: Vec<EventId>,
}

/// What [`Broker::count_back`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountedBack {
    /// Events among the entries; others are not counted.
    pub events: usize,
    /// The place directly before the oldest of these events; `None` when there is none.
    pub before: Option<EventId>,
    /// Where counting goes on; `None` when the log begins with these entries.
    pub next: Option<EventId>,
    /// The size of the events' data. Bytes.
    pub bytes: usize,
}

impl CountedBack {
    /// Counts a page that was read backwards, the newest entry first.
    #[must_use]
    pub fn of(page: &Page) -> Self {
        Self {
            events: page.events.len(),
            before: page.events.last().map(|event| event.id.before()),
            next: page.last.filter(|last| page.more && *last > EventId::ZERO).map(EventId::before),
            bytes: page.events.iter().map(|event| event.data.len()).sum(),
        }
    }
}

/// What [`Broker::tails`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tails {
    /// The broker's clock, taken before the logs were read: everything with an id up to this moment was
    /// visible to the read. Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The topics that have something behind the position asked for, by rising index.
    pub behind: Vec<Tail>,
    /// Indices of topics that could not be read because their key is not a log, or not for this node, rising.
    pub unreadable: Vec<usize>,
}

/// One topic that has more than was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Index into the positions asked for.
    pub index: usize,
    /// The events behind the position.
    pub page: Page,
}

/// Why the broker could not do what it was asked. Each text is a whole sentence that names the server where it is
/// known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No connection, no answer in time, or a server that is starting, failing over or read-only: trying
    /// again later is right.
    #[error("{0}")]
    Unavailable(String),
    /// As [`BrokerError::Unavailable`], of an append of which it is known that nothing was appended: the server could not be
    /// reached, or refused the event for now.
    #[error("the broker is unavailable: {0}; nothing was appended")]
    NotAppended(String),
    /// The server refused the request and will refuse it again.
    #[error("{0}")]
    Refused(String),
    /// The key holds something that is not a log, or the answer is not of the expected form.
    #[error("{0}")]
    Unexpected(String),
    /// The event's idempotency key belongs to an event with another type or other data. Nothing was appended.
    #[error("the idempotency key belongs to an event with another type or other data")]
    KeyReused,
    /// The event is in the log, but fewer replicas than wanted said in time that they have it: a failover may
    /// lose it. Appending it again with the same key waits again and repeats nothing.
    #[error("event {id} is on {confirmed} replicas, not on {wanted}")]
    NotReplicated {
        /// The event's id.
        id: EventId,
        /// How many replicas have it.
        confirmed: usize,
        /// How many were to have it.
        wanted: u8,
    },
}

impl BrokerError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotAppended(_) | Self::NotReplicated { .. })
    }
}
