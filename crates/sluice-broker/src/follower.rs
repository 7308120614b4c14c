//! Keeps the active topics of a node gapless and in order, on top of announcements that may be lost.
//!
//! One [`Follower`] a node. Announcements are judged inline, under one lock that is never held across an
//! await (`topics.rs`, on `continuity.rs`); holes are read from the log by a bounded set of tasks
//! (`refill.rs`); the logs' ends are looked at periodically (`check.rs`), and after announcements were lost
//! (`verify.rs`). Topics of servers that cannot be read (`away.rs`) wait, and no others. What the [`Sink`] sees of a topic is every retained event once, in
//! order, and a gap wherever events were lost.

mod check;
mod complaints;
mod core;
mod open;
mod queues;
mod refill;
mod reserved;
mod topics;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use sluice_wire::{ByteString, Event, EventId, Topic};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::core::Core;
pub use self::reserved::Reserved;
use crate::{Broker, Gap, Partition, ReplaySettings};

/// Takes what a [`Follower`] finds. Called inline, under the follower's lock and in its order: it must not
/// block, and must not call the follower.
pub trait Sink: Send + Sync + 'static {
    /// `topic` is followed from `position` on: the next event handed on stands directly behind it. Called
    /// each time that a topic nobody followed gets its first follower. Up to `past` an earlier log of the topic, which
    /// is gone, may have had entries; [`EventId::ZERO`] if nothing is known of one.
    fn opened(&self, topic: &Topic, position: EventId, past: EventId);
    /// Nobody has followed `topic` for the linger time: nothing comes of it before it is opened again. For
    /// sinks that keep something a topic.
    fn closed(&self, _topic: &Topic) {}
    /// The next events, directly behind the topic's position, in order, and the position after them. It lies behind
    /// the last of them where entries that no client can be given were skipped; there may be no event at all.
    fn events(&self, topic: &Topic, events: &[Event], position: EventId);
    /// Plain text that came on the live channel: no id, in no log.
    fn plain(&self, topic: &Topic, data: ByteString);
    /// The log lost events under the node. The position is now `position`, which after a rewind is before
    /// the old one: events that survived are handed on again.
    fn gap(&self, gap: &Gap, position: EventId);
    /// For each topic: nothing with an id up to that moment is missing. Milliseconds of the broker's clock,
    /// less the margin. Said when a topic is opened, too, before anybody hears that it is.
    fn confirmed(&self, topics: &[(Topic, u64)]);
    /// The latest moment that was confirmed for `topic`; 0 for sinks that do not keep it, which then may be told
    /// a gap where an expired log in truth lacked nothing.
    fn floor_ms(&self, _topic: &Topic) -> u64 {
        0
    }
    /// `false`: announcements of some topics may be missing from now on. `true`: all come, and all topics were
    /// compared with their logs again. A follower begins as if with `false`.
    fn link(&self, live: bool);
}

/// Limits and periods of a [`Follower`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerSettings {
    /// How often a topic's log is compared with its position, while the budget lasts for all topics.
    pub tail_interval: Duration,
    /// Topics compared in one read.
    pub tail_batch_topics: usize,
    /// Topics compared in a second at most; with more topics each is compared less often.
    pub tail_topics_per_second: usize,
    /// Events a topic that one comparison may bring; with more behind, the log is read page by page.
    pub tail_page_events: usize,
    /// Taken off what a comparison confirms: longer than the clocks of the broker may differ and a failover
    /// may go unnoticed.
    pub confirm_margin: Duration,
    /// How long a topic without followers stays subscribed.
    pub linger: Duration,
    /// Topics followed at once, those included that linger; more are not [reserved](Follower::reserve). 0 for any number.
    pub topics_max: usize,
    /// Topics opened in one round trip.
    pub open_batch_topics: usize,
    /// Holes that are read at the same time.
    pub refills_max: usize,
    /// How a hole is read.
    pub replay: ReplaySettings,
}

impl Default for FollowerSettings {
    fn default() -> Self {
        Self {
            tail_interval: Duration::from_secs(1),
            tail_batch_topics: 500,
            tail_topics_per_second: 5_000,
            tail_page_events: 32,
            confirm_margin: Duration::from_secs(10),
            linger: Duration::from_secs(10),
            topics_max: 0,
            open_batch_topics: 500,
            refills_max: 8,
            replay: ReplaySettings::default(),
        }
    }
}

/// What a [`Follower`] is doing, for metrics and `/v1/node`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FollowerStatus {
    /// Announcements come, and every topic was compared with its log since they last did not.
    pub live: bool,
    /// Topics subscribed, including those that linger.
    pub topics: usize,
    /// Topics whose log is being read.
    pub refilling: usize,
    /// Events handed on.
    pub events: u64,
    /// Holes and suspected rewinds found.
    pub holes_found: u64,
    /// Of those, how many were read through.
    pub holes_refilled: u64,
    /// Gaps told to the sink.
    pub gaps: u64,
    /// Messages and entries left out because no client can be given them.
    pub left_out: u64,
    /// Reads that compared topics with their logs.
    pub tail_checks: u64,
    /// Topics that they compared.
    pub tail_checked_topics: u64,
    /// How long ago the last of them succeeded.
    pub tail_check_age: Option<Duration>,
    /// Servers that bring announcements: the shards of a cluster, else one.
    pub servers: usize,
    /// Of those, how many do.
    pub servers_connected: usize,
    /// Times the subscriber's connection was lost.
    pub reconnects: u64,
    /// How long the subscriber's last probe took.
    pub probe_round_trip: Option<Duration>,
}

/// Follows topics for a node. A cheap handle; the tasks end with `stop`.
#[derive(Clone)]
pub struct Follower {
    core: Arc<Core>,
}

impl Follower {
    /// Begins to listen, and hands what it finds to `sink`. Tasks are spawned on `tracker`.
    #[must_use]
    pub fn start(
        broker: Arc<dyn Broker>,
        sink: Arc<dyn Sink>,
        settings: FollowerSettings,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let core = Core::new(broker, sink, settings, stop);
        tracker.spawn(open::run(Arc::clone(&core)));
        tracker.spawn(check::run(Arc::clone(&core)));
        tracker.spawn(verify::run(Arc::clone(&core)));
        for _ in 0..settings.refills_max.max(1) {
            tracker.spawn(refill::run(Arc::clone(&core)));
        }
        Self { core }
    }

    /// Adds one follower to each of `topics`; returns when `opened` was called for each. Waits while the
    /// broker is away, so callers need a deadline of their own, and returns early when the follower stops.
    ///
    /// Every call that returned is to be undone by one [`Follower::unfollow`] of the same topics. A call
    /// that is dropped before it returned undoes itself.
    pub async fn follow(&self, topics: &[Topic]) {
        let undo = Undo { core: &self.core, topics: Some(topics) };
        if let Some(opened) = self.core.follow(topics) {
            tokio::select! {
                () = opened.wait() => {}
                () = self.core.stop.cancelled() => {}
            }
        }
        undo.disarm();
    }

    /// Keeps `topics` for somebody who is going to follow them; `None` if they would be more than the follower may
    /// have. Looking and keeping are one step, so the limit is exact however many ask at once. What is kept is
    /// opened meanwhile.
    #[must_use]
    pub fn reserve(&self, topics: &[Topic]) -> Option<Reserved> {
        Reserved::take(&self.core, topics)
    }

    /// Whether `topics` could be reserved now.
    #[must_use]
    pub fn has_room(&self, topics: &[Topic]) -> bool {
        self.core.has_room(topics)
    }

    /// Takes one follower off each of `topics`. A topic without followers lingers before its subscription
    /// ends; until then its events are still handed on.
    pub fn unfollow(&self, topics: &[Topic]) {
        self.core.unfollow(topics);
    }

    /// Brings an open topic at least to `id`, reading the log if announcements have not brought it there:
    /// for a client that saw more on another node. Returns the position then, which is smaller only when the
    /// log itself does not go that far, the topic is not open, or the follower stops.
    pub async fn reach(&self, topic: &Topic, id: EventId) -> EventId {
        self.core.reach(topic, id).await
    }

    /// What of the broker could not be read lately.
    #[must_use]
    pub fn unread(&self) -> Vec<Partition> {
        self.core.shared.away.list()
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> FollowerStatus {
        self.core.status()
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("status", &self.status()).finish()
    }
}

/// Takes back what `follow` counted when its caller goes away before it returns.
struct Undo<'a> {
    core: &'a Core,
    topics: Option<&'a [Topic]>,
}

impl Undo<'_> {
    fn disarm(mut self) {
        self.topics = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(topics) = self.topics {
            self.core.unfollow(topics);
        }
    }
}
