//! A sink that keeps the books of what it is handed: what is lost, repeated, reordered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sluice_broker::{Follower, FollowerSettings, Gap, Sink};
use sluice_testkit::eventually;
use sluice_wire::{ByteString, Event, EventId, Topic};
use tokio_util::sync::CancellationToken;

use crate::stage::{SOON, Stage};

#[derive(Debug, Default, Clone)]
pub(crate) struct Book {
    pub(crate) opened: Vec<EventId>,
    pub(crate) events: Vec<EventId>,
    pub(crate) data: Vec<ByteString>,
    pub(crate) plain: Vec<ByteString>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) confirmed_ms: u64,
    pub(crate) position: EventId,
}

#[derive(Default)]
pub(crate) struct Journal {
    books: Mutex<HashMap<Topic, Book>>,
    live: AtomicBool,
    links: AtomicUsize,
}

impl Journal {
    fn write(&self, topic: &Topic, entry: impl FnOnce(&mut Book)) {
        entry(self.books.lock().unwrap().entry(topic.clone()).or_default());
    }

    pub(crate) fn book(&self, topic: &Topic) -> Book {
        self.books.lock().unwrap().get(topic).cloned().unwrap_or_default()
    }

    pub(crate) fn opened(&self) -> usize {
        self.books.lock().unwrap().values().filter(|book| !book.opened.is_empty()).count()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::SeqCst)
    }

    /// How often the link was said to be live or not.
    pub(crate) fn links(&self) -> usize {
        self.links.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_for(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        eventually(what, SOON, async || holds(self)).await.unwrap();
    }

    /// Waits until everything of `published` arrived, and asserts that nothing was lost, repeated, reordered.
    pub(crate) async fn assert_exact(&self, topic: &Topic, published: &[EventId]) {
        let waited = eventually("every published event", SOON, async || {
            let events = self.book(topic).events;
            published.iter().all(|id| events.contains(id)).then_some(()).ok_or(events.len())
        })
        .await;
        let book = self.book(topic);
        let lost = published.iter().filter(|id| !book.events.contains(id)).count();
        let reordered = book.events.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let mut distinct = book.events.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let repeated = book.events.len() - distinct.len();
        assert_eq!(book.gaps, vec![], "{lost} lost, {repeated} repeated; {waited:?}");
        assert_eq!((lost, repeated, reordered), (0, 0, 0), "lost, repeated, reordered; {waited:?}");
    }
}

impl Sink for Journal {
    fn opened(&self, topic: &Topic, position: EventId, _: EventId) {
        self.write(topic, |book| {
            book.position = position;
            book.opened.push(position);
        });
    }
    fn events(&self, topic: &Topic, events: &[Event], position: EventId) {
        self.write(topic, |book| {
            book.position = position;
            book.events.extend(events.iter().map(|event| event.id));
            book.data.extend(events.iter().map(|event| event.data.clone()));
        });
    }
    fn plain(&self, topic: &Topic, data: ByteString) {
        self.write(topic, |book| book.plain.push(data));
    }
    fn gap(&self, gap: &Gap, position: EventId) {
        self.write(&gap.topic, |book| {
            book.position = position;
            book.gaps.push(gap.clone());
        });
    }
    fn confirmed(&self, topics: &[(Topic, u64)]) {
        for (topic, ms) in topics {
            self.write(topic, |book| book.confirmed_ms = *ms);
        }
    }
    fn floor_ms(&self, topic: &Topic) -> u64 {
        self.book(topic).confirmed_ms
    }
    fn link(&self, live: bool) {
        self.links.fetch_add(1, Ordering::SeqCst);
        self.live.store(live, Ordering::SeqCst);
    }
}

/// A follower that runs until the value is dropped.
pub(crate) struct Following {
    pub(crate) follower: Follower,
    pub(crate) journal: Arc<Journal>,
    pub(crate) stop: CancellationToken,
}

impl Following {
    pub(crate) fn start(stage: &Stage) -> Self {
        Self::with(stage, quick())
    }

    pub(crate) fn with(stage: &Stage, settings: FollowerSettings) -> Self {
        let (journal, stop) = (Arc::new(Journal::default()), CancellationToken::new());
        let sink = Arc::clone(&journal) as Arc<dyn Sink>;
        let follower =
            Follower::start(Arc::clone(&stage.broker), sink, settings, &stage.tracker, stop.clone());
        Self { follower, journal, stop }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The defaults with short periods.
pub(crate) fn quick() -> FollowerSettings {
    FollowerSettings {
        tail_interval: Duration::from_millis(50),
        linger: Duration::from_millis(200),
        tail_topics_per_second: 50_000,
        ..FollowerSettings::default()
    }
}

/// The defaults, with a tail check that never comes: holes must be found by `prev` or by verifying.
pub(crate) fn without_tail_check() -> FollowerSettings {
    FollowerSettings { tail_interval: Duration::from_secs(3600), ..FollowerSettings::default() }
}
