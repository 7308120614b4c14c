//! The embedded broker, for `sluice dev` and for tests: everything in this process, gone with it.
//!
//! It keeps the semantics of [`Broker`] and nothing more: ids grow over all topics, announcements go through
//! a bounded queue a listener, and one that does not fit is lost as it would be on a socket. What it holds is
//! bounded by [`MemorySettings`]: beyond, the oldest events of the node go first, whatever their topic.

mod announce;
mod foreign;
mod holdings;
mod log;
mod once;
mod pasts;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sluice_wire::envelope::LiveMessage;
use sluice_wire::{ByteString, EventId, NewEvent, Topic};
use tokio_util::task::TaskTracker;

pub use self::foreign::ForeignWrite;
use self::state::State;
use crate::broker::Announcement;
use crate::clock::now_ms;
use crate::{
    Appended, Broker, BrokerError, BrokerSettings, CountedBack, Holding, Listener, LogHead, Page, Retention,
    RetentionPolicies, Subscriber, Tail, Tails,
};

/// What an embedded broker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySettings {
    /// Events of all topics together, counted with 128 bytes on top of each event's text, and idempotency
    /// records with them.
    pub bytes_max: usize,
    /// Topics that ever had an event; appending to a further one is refused.
    pub topics_max: usize,
    /// Announcements that may wait for one listener; further ones are lost to it, which it will notice.
    pub announcements_max: usize,
}

impl Default for MemorySettings {
    /// 256 MiB, 100,000 topics, 16,384 announcements.
    fn default() -> Self {
        Self { bytes_max: 256 << 20, topics_max: 100_000, announcements_max: 16_384 }
    }
}

/// The broker behind `memory://`.
#[derive(Debug)]
pub struct MemoryBroker {
    state: Arc<Mutex<State>>,
    retention: RetentionPolicies,
    settings: MemorySettings,
    tracker: TaskTracker,
    clock: fn() -> u64,
}

impl MemoryBroker {
    /// An empty broker. `settings.url` and `settings.redis` are not looked at.
    #[must_use]
    pub fn new(settings: BrokerSettings, tracker: TaskTracker) -> Self {
        let state = State::new(settings.memory.bytes_max, settings.memory.topics_max, settings.once_window);
        Self {
            state: Arc::new(Mutex::new(state)),
            retention: settings.retention,
            settings: settings.memory,
            tracker,
            clock: now_ms,
        }
    }

    /// The broker on another clock than this machine's: milliseconds since the Unix epoch. For tests whose
    /// time is not real.
    #[must_use]
    pub fn on_clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    /// Announces plain text on the live channel of `topic`: what `redis-cli PUBLISH` does elsewhere.
    pub fn announce_plain(&self, topic: &Topic, text: impl Into<ByteString>) {
        self.state().listeners.announce(topic, &Announcement::Message(LiveMessage::Plain(text.into())));
    }

    /// Forgets every event with an id of `from_ms` or later, as a failover to a replica that lagged does. For
    /// tests: listeners are not told, so whoever stands between tells them that their connection was lost.
    pub fn fail_over(&self, from_ms: u64) {
        self.state().forget_from(EventId::at(from_ms));
    }

    /// As [`MemoryBroker::fail_over`], from an event on.
    pub fn forget_from(&self, id: EventId) {
        self.state().forget_from(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        let mut state = self.state();
        let now_ms = (self.clock)();
        events.iter().map(|event| state.append(event, self.retention.of(&event.topic), now_ms)).collect()
    }

    async fn trim(&self, topic: &Topic, before: EventId) -> Result<(), BrokerError> {
        self.state().trim_before(topic, before);
        Ok(())
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        let (mut state, now_ms) = (self.state(), (self.clock)());
        topics.iter().try_for_each(|topic| state.readable(topic))?;
        Ok(topics.iter().map(|topic| state.head(topic, now_ms)).collect())
    }

    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        let mut state = self.state();
        state.readable(topic)?;
        Ok(state.log(topic, (self.clock)()).map_or_else(Page::default, |log| log.read(from, to, limit)))
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        let mut state = self.state();
        state.readable(topic)?;
        Ok(state.log(topic, (self.clock)()).and_then(|log| log.newest_until(at)))
    }

    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError> {
        let mut state = self.state();
        state.readable(topic)?;
        let page = state.log(topic, (self.clock)()).map(|log| log.read_back(from, entries));
        Ok(CountedBack::of(&page.unwrap_or_default()))
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        let (mut state, time_ms) = (self.state(), (self.clock)());
        let (mut behind, mut unreadable) = (Vec::new(), Vec::new());
        for (index, (topic, position)) in positions.iter().enumerate() {
            if state.readable(topic).is_err() {
                unreadable.push(index);
                continue;
            }
            let Some(log) = state.log(topic, time_ms) else { continue };
            let page = log.read(position.after(), EventId::MAX, limit);
            if page.first.is_some() {
                behind.push(Tail { index, page });
            }
        }
        Ok(Tails { time_ms, behind, unreadable })
    }

    async fn hold(&self, holding: Holding<'_>) -> Result<Vec<u64>, BrokerError> {
        Ok(self.state().holdings.hold(holding, (self.clock)()))
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        let began = Instant::now();
        drop(self.state());
        Ok(began.elapsed())
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.retention.of(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        Box::new(announce::listen(&self.state, listener, self.settings.announcements_max, &self.tracker))
    }
}
