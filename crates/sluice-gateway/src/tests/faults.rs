//! A broker between a node and the logs that loses, repeats and holds back announcements, is cut off, fails
//! reads and takes its time with them, all on the clock of the test.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use sluice_broker::{
    Announcement, Appended, Broker, BrokerError, CountedBack, Listener, LogHead, MemoryBroker, Page,
    Retention, Subscriber, SubscriberHealth, Tails,
};
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::time::{Instant, sleep};

/// How bad the way between a node and the logs is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Badness {
    /// Announcements of a hundred that are lost.
    pub(super) lost_percent: u8,
    /// Announcements of a hundred that come twice.
    pub(super) doubled_percent: u8,
    /// Milliseconds that a read takes at most, before and after the log is looked at.
    pub(super) slow_ms: u64,
}

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    inner: Arc<MemoryBroker>,
    state: Arc<Mutex<State>>,
}

struct State {
    badness: Badness,
    dice: fastrand::Rng,
    listener: Option<Arc<dyn Listener>>,
    topics: HashSet<Topic>,
    cut: bool,
    held: Option<VecDeque<(String, Announcement)>>,
    failing: u32,
    reads: u64,
    /// Reads at the same moment of the clock: one that never moves on spins.
    at_once: (Option<Instant>, u64),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

/// What stands between the logs' announcements and the node's follower.
struct Tap {
    state: Arc<Mutex<State>>,
    listener: Arc<dyn Listener>,
}

impl Faulty {
    pub(super) fn new(inner: Arc<MemoryBroker>, badness: Badness, seed: u64) -> Self {
        let dice = fastrand::Rng::with_seed(seed);
        let state = State {
            badness,
            dice,
            listener: None,
            topics: HashSet::new(),
            cut: false,
            held: None,
            failing: 0,
            reads: 0,
            at_once: (None, 0),
        };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// The connection that announcements come by is lost.
    pub(super) fn cut(&self) {
        let was = std::mem::replace(&mut self.state().cut, true);
        if !was && let Some(listener) = self.listener() {
            listener.lost(&self.topics());
            listener.broken("cut off by the test");
        }
    }

    /// The server is gone, with everything that it still had to say.
    pub(super) fn lose_server(&self) {
        self.cut();
        if let Some(held) = &mut self.state().held {
            held.clear();
        }
    }

    /// It stands again.
    pub(super) fn heal(&self) {
        let was = std::mem::replace(&mut self.state().cut, false);
        if was && let Some(listener) = self.listener() {
            listener.restored(&self.topics());
            listener.whole();
        }
    }

    /// Holds announcements back until [`Faulty::release`]: the node stays behind, as far as it hears.
    pub(super) fn hold(&self) {
        self.state().held.get_or_insert_default();
    }

    pub(super) fn release(&self) {
        let held = self.state().held.take().unwrap_or_default();
        let Some(listener) = self.listener() else { return };
        held.into_iter().for_each(|(topic, message)| listener.announced(&topic, message));
    }

    /// The next `times` reads fail.
    pub(super) fn fail(&self, times: u32) {
        self.state().failing = times;
    }

    /// Reads that are still to fail.
    pub(super) fn failing(&self) -> u32 {
        self.state().failing
    }

    /// No fault from now on.
    pub(super) fn behave(&self) {
        self.state().badness = Badness { lost_percent: 0, doubled_percent: 0, slow_ms: 0 };
        self.fail(0);
        self.heal();
        self.release();
    }

    fn topics(&self) -> Vec<Topic> {
        self.state().topics.iter().cloned().collect()
    }

    fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.state().listener.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn pause(&self) {
        let ms = {
            let mut state = self.state();
            let slow_ms = state.badness.slow_ms;
            state.dice.u64(0..=slow_ms)
        };
        if ms > 0 {
            sleep(Duration::from_millis(ms)).await;
        }
    }

    /// Reads so far.
    pub(super) fn reads(&self) -> u64 {
        self.state().reads
    }

    /// What every read goes through first.
    async fn trouble(&self) -> Result<(), BrokerError> {
        const AT_ONCE_MAX: u64 = 50_000;
        self.pause().await;
        let mut state = self.state();
        state.reads += 1;
        let now = Some(Instant::now());
        state.at_once = (now, if state.at_once.0 == now { state.at_once.1 + 1 } else { 1 });
        assert!(state.at_once.1 < AT_ONCE_MAX, "logs are read again and again while the clock stands still");
        if state.failing == 0 {
            return Ok(());
        }
        state.failing -= 1;
        Err(BrokerError::Unavailable("failed by the test".into()))
    }
}

impl Listener for Tap {
    fn announced(&self, topic: &str, message: Announcement) {
        let times = {
            let mut state = self.state.lock().unwrap();
            let (lost, doubled) = (state.badness.lost_percent, state.badness.doubled_percent);
            if state.cut || state.dice.u8(0..100) < lost {
                return;
            }
            let times = if state.dice.u8(0..100) < doubled { 2 } else { 1 };
            if let Some(held) = &mut state.held {
                (0..times).for_each(|_| held.push_back((topic.to_owned(), message.clone())));
                return;
            }
            times
        };
        (0..times).for_each(|_| self.listener.announced(topic, message.clone()));
    }

    fn lost(&self, topics: &[Topic]) {
        self.listener.lost(topics);
    }

    fn restored(&self, topics: &[Topic]) {
        self.listener.restored(topics);
    }

    fn broken(&self, why: &str) {
        self.listener.broken(why);
    }

    fn whole(&self) {
        self.listener.whole();
    }
}

#[async_trait]
impl Broker for Faulty {
    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        self.inner.append(events).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        self.trouble().await?;
        let answer = self.inner.heads(topics).await;
        self.pause().await;
        answer
    }

    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        self.trouble().await?;
        let answer = self.inner.read(topic, from, to, limit).await;
        self.pause().await;
        answer
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        self.trouble().await?;
        let answer = self.inner.newest_until(topic, at).await;
        self.pause().await;
        answer
    }

    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError> {
        self.trouble().await?;
        let answer = self.inner.count_back(topic, from, entries).await;
        self.pause().await;
        answer
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        self.trouble().await?;
        let answer = self.inner.tails(positions, limit).await;
        self.pause().await;
        answer
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        self.inner.ping().await
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.inner.retention(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        self.state().listener = Some(listener.clone());
        let tap = Arc::new(Tap { state: self.state.clone(), listener: listener.clone() });
        let inner = self.inner.listen(tap);
        Box::new(Wanting { state: self.state.clone(), listener, inner })
    }
}

/// Keeps what is subscribed, to tell of it when the connection is lost.
struct Wanting {
    state: Arc<Mutex<State>>,
    listener: Arc<dyn Listener>,
    inner: Box<dyn Subscriber>,
}

impl std::fmt::Debug for Wanting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Subscriber for Wanting {
    async fn add(&self, topics: &[Topic]) {
        self.inner.add(topics).await;
        let cut = {
            let mut state = self.state.lock().unwrap();
            state.topics.extend(topics.iter().cloned());
            state.cut
        };
        if cut {
            self.listener.lost(topics);
        }
    }

    fn remove(&self, topics: &[Topic]) {
        self.state.lock().unwrap().topics.retain(|topic| !topics.contains(topic));
        self.inner.remove(topics);
    }

    fn health(&self) -> SubscriberHealth {
        self.inner.health()
    }
}
