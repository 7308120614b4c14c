//! The hub of a node: from topics to feeds.
//!
//! It takes events in from the follower (gapless and in order, topic by topic), keeps each topic's window,
//! encodes each event once, and tells the views of the fan-out engine. Everything that views are told is
//! told under the hub's one mutex, so that all of them see the same order. The mutex is never held across
//! an await, and nothing that is called under it calls back.

pub(crate) mod feeds;
mod hold;
mod place;
mod polling;
mod sink;
mod sizes;
pub(crate) mod topics;
pub(crate) mod window;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use sluice_broker::{Broker, Follower, FollowerStatus, Partition, Reserved};
use sluice_fanout::{FeedId, Notice, PolledView, Projection, Shard, ShardStatus, TopicSet};
use sluice_wire::{EventId, Topic};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::feeds::{Entered, Feeds, ViewKey};
pub(crate) use self::hold::FeedHold;
use self::topics::Topics;
use crate::settings::GatewaySettings;
use crate::tallies::Tallies;
use crate::trace::Spans;

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    polled: PolledView,
    /// The polled view was told something.
    polled_told: Notify,
    shards: Vec<Shard>,
    follower: OnceLock<Follower>,
    /// Whether the node hears its broker.
    live: AtomicBool,
    tallies: Tallies,
    spans: Spans,
}

#[derive(Debug)]
struct State {
    topics: Topics,
    feeds: Feeds,
}

/// How many of what a node has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HubSizes {
    pub(crate) topics: usize,
    pub(crate) feeds: usize,
    pub(crate) window_bytes: usize,
}

impl Hub {
    /// Begins to follow `broker` for the streams of `shards` and of a polled view.
    pub(crate) fn start(
        broker: Arc<dyn Broker>,
        settings: &GatewaySettings,
        shards: Vec<Shard>,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let GatewaySettings { windows, rings, follower, traced, .. } = *settings;
        let state = State { topics: Topics::new(windows), feeds: Feeds::default() };
        let hub = Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                polled: PolledView::new(rings),
                polled_told: Notify::new(),
                shards,
                follower: OnceLock::new(),
                live: AtomicBool::new(false),
                tallies: Tallies::register(),
                spans: Spans::new(traced),
            }),
        };
        tracker.spawn(stop.clone().run_until_cancelled_owned(polling::run(hub.clone())));
        let follower = Follower::start(broker, Arc::new(hub.clone()), follower, tracker, stop);
        hub.shared.follower.get_or_init(|| follower);
        hub
    }

    /// The streams that hyper drives.
    pub(crate) fn polled(&self) -> &PolledView {
        &self.shared.polled
    }

    /// A shard by its number.
    pub(crate) fn shard(&self, number: u16) -> &Shard {
        &self.shared.shards[usize::from(number)]
    }

    /// The shard with the fewest streams, for one more.
    pub(crate) fn lightest_shard(&self) -> u16 {
        let least = (0_u16..).zip(&self.shared.shards).min_by_key(|(_, shard)| shard.streams());
        least.map_or(0, |(number, _)| number)
    }

    /// Every shard.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shared.shards
    }

    /// What the shards have done and hold.
    pub(crate) fn shard_status(&self) -> ShardStatus {
        let mut status = ShardStatus::default();
        self.shared.shards.iter().for_each(|shard| shard.add_to(&mut status));
        status
    }

    /// The node's counters.
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.shared.tallies
    }

    /// The node's spans.
    pub(crate) fn spans(&self) -> &Spans {
        &self.shared.spans
    }

    /// Whether the node hears its broker, so that streams are up to date.
    pub(crate) fn is_live(&self) -> bool {
        self.shared.live.load(Ordering::Acquire)
    }

    /// Where the follower stands.
    pub(crate) fn follower_status(&self) -> FollowerStatus {
        self.follower().status()
    }

    pub(crate) fn unread(&self) -> Vec<Partition> {
        self.follower().unread()
    }

    /// How much there is.
    pub(crate) fn sizes(&self) -> HubSizes {
        let state = self.lock();
        HubSizes {
            topics: state.topics.len(),
            feeds: state.feeds.len(),
            window_bytes: state.topics.window_bytes(),
        }
    }

    /// Keeps `topics` for a stream that is to be opened; `None` when the node follows as many as it may.
    pub(crate) fn reserve(&self, topics: &[Topic]) -> Option<Reserved> {
        self.follower().reserve(topics)
    }

    /// Whether a stream of `topics` would be within what the node may follow.
    pub(crate) fn has_room(&self, topics: &[Topic]) -> bool {
        self.follower().has_room(topics)
    }

    /// Opens the feed of `topics` in `view` and in the form `projection`, or shares it; returns when the node follows all of them. Waits
    /// as long as the broker is away; `None` when the node stops meanwhile.
    pub(crate) async fn open(
        &self,
        view: ViewKey,
        topics: &[Topic],
        projection: &Projection,
    ) -> Option<FeedHold> {
        if let Some(hold) = self.enter_open(view, topics, projection) {
            return Some(hold);
        }
        self.follower().follow(topics).await;
        let (hold, created) = self.enter(view, topics, projection)?;
        if !created {
            // The feed has a hold on its topics already.
            self.follower().unfollow(topics);
        }
        Some(hold)
    }

    /// The hold of a stream that comes out of a slot.
    pub(crate) fn resume(&self, feed: FeedId) -> Option<FeedHold> {
        let set = self.lock().feeds.set(feed)?;
        Some(self.hold(feed, set))
    }

    /// Which view an open feed is in.
    pub(crate) fn view_of(&self, feed: FeedId) -> Option<ViewKey> {
        self.lock().feeds.view(feed)
    }

    /// Gives back the hold of a stream that was in a slot.
    pub(crate) fn leave(&self, feed: FeedId) {
        let mut state = self.lock();
        let Some((view, set)) = state.feeds.leave(feed) else { return };
        for key in set.keys() {
            if let Some(active) = state.topics.get_mut(key) {
                active.feeds -= 1;
            }
        }
        self.tell_one(view, Notice::Close { feed });
        drop(state);
        let topics: Vec<_> = set.members().iter().map(|(_, topic)| topic.clone()).collect();
        self.follower().unfollow(&topics);
    }

    /// Brings a topic at least to `id`, for a client that saw more on another node. Where it stands then.
    pub(crate) async fn reach(&self, topic: &Topic, id: EventId) -> EventId {
        self.follower().reach(topic, id).await
    }

    /// The feed of topics that are all open in `view` already.
    fn enter_open(&self, view: ViewKey, topics: &[Topic], projection: &Projection) -> Option<FeedHold> {
        let mut state = self.lock();
        let set = state.known_set(topics, projection)?;
        let feed = state.feeds.enter_open(view, &set)?;
        Some(self.hold(feed, set))
    }

    fn enter(&self, view: ViewKey, topics: &[Topic], projection: &Projection) -> Option<(FeedHold, bool)> {
        let mut state = self.lock();
        let set = state.known_set(topics, projection)?;
        match state.feeds.enter(view, set.clone()) {
            Entered::Existing(feed) => Some((self.hold(feed, set), false)),
            Entered::Created(feed) => {
                let (positions, floor_ms) = state.begin(&set);
                self.tell_one(view, Notice::Open { feed, set: set.clone(), positions, floor_ms });
                Some((self.hold(feed, set), true))
            }
        }
    }

    fn hold(&self, feed: FeedId, set: Arc<TopicSet>) -> FeedHold {
        FeedHold { hub: self.clone(), feed, set, kept: false }
    }

    /// Tells every view. Called with the state locked, so that all are told in one order.
    fn tell(&self, notice: Notice) {
        for shard in &self.shared.shards {
            shard.tell(notice.clone());
        }
        self.tell_polled(notice);
    }

    /// Queues a notice for the polled view: it costs the same however many streams are to be woken for it.
    fn tell_polled(&self, notice: Notice) {
        if self.shared.polled.tell(notice) {
            self.shared.polled_told.notify_one();
        }
    }

    fn tell_one(&self, view: ViewKey, notice: Notice) {
        match view {
            ViewKey::Polled => self.tell_polled(notice),
            ViewKey::Shard(number) => self.shard(number).tell(notice),
        }
    }

    #[expect(clippy::expect_used, reason = "the constructor sets it before it hands out the hub")]
    fn follower(&self) -> &Follower {
        self.shared.follower.get().expect("set before the hub is handed out")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

impl State {
    fn known_set(&self, topics: &[Topic], projection: &Projection) -> Option<Arc<TopicSet>> {
        let members: Option<Vec<_>> =
            topics.iter().map(|topic| Some((self.topics.key(topic)?, topic.clone()))).collect();
        members.map(|members| Arc::new(TopicSet::projected(members, projection.clone())))
    }

    /// Counts a new feed on its topics; where they stand.
    fn begin(&mut self, set: &TopicSet) -> (Box<[EventId]>, u64) {
        let mut floor_ms = u64::MAX;
        let positions = set
            .keys()
            .filter_map(|key| {
                let active = self.topics.get_mut(key)?;
                active.feeds += 1;
                floor_ms = floor_ms.min(active.floor_ms);
                Some(active.position)
            })
            .collect();
        (positions, floor_ms)
    }
}
