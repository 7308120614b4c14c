//! What the follower's tasks share: the topics under their lock, the sink, the broker, and who is to be woken
//! when. It listens to the announcements itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use sluice_diagnostics::{Outage, millis};
use sluice_wire::{EventId, Topic};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::open::Opened;
use super::refill::Holes;
use super::topics::Topics;
use super::{FollowerSettings, FollowerStatus, Sink};
use crate::broker::Announcement;
use crate::{Away, Broker, Listener, Partition, Subscriber};

pub(super) struct Core {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) settings: FollowerSettings,
    pub(super) stop: CancellationToken,
    pub(super) shared: Arc<Shared>,
    holes: Mutex<Holes>,
    /// Taken out when the follower stops, which ends the connection though handles may live on.
    subscriber: Mutex<Option<Arc<dyn Subscriber>>>,
}

/// What the listener needs. Apart from [`Core`], so that the connection does not keep itself alive.
pub(super) struct Shared {
    topics: Mutex<Topics>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) away: Away,
    /// There is something to open.
    pub(super) wanted: Notify,
    /// There is a log to read.
    pub(super) holes: Notify,
    /// A log was read through.
    pub(super) refilled: Notify,
    /// There are topics to be verified, or the link may be live.
    pub(super) restored: Notify,
    /// Reads that compared topics with their logs, and how many topics they compared.
    tail_checks: AtomicU64,
    tail_checked_topics: AtomicU64,
    /// When the last of them succeeded, in milliseconds since `began`, plus one.
    tail_checked_ms: AtomicU64,
    began: Instant,
    /// The subscription is lost.
    outage: Mutex<Outage>,
    /// What the broker's clock said last. Milliseconds.
    clock_ms: AtomicU64,
}

impl Core {
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        sink: Arc<dyn Sink>,
        settings: FollowerSettings,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            topics: Mutex::default(),
            sink,
            away: Away::default(),
            wanted: Notify::new(),
            holes: Notify::new(),
            refilled: Notify::new(),
            restored: Notify::new(),
            tail_checks: AtomicU64::new(0),
            tail_checked_topics: AtomicU64::new(0),
            tail_checked_ms: AtomicU64::new(0),
            began: Instant::now(),
            outage: Mutex::default(),
            clock_ms: AtomicU64::new(0),
        });
        let late_max_ms = u64::try_from(settings.replay.rewind_margin.as_millis()).unwrap_or(u64::MAX);
        shared.topics().late_max_ms = late_max_ms;
        let subscriber = broker.listen(Arc::clone(&shared) as Arc<dyn Listener>);
        let subscriber = Mutex::new(Some(Arc::from(subscriber)));
        Arc::new(Self { broker, settings, stop, shared, holes: Mutex::default(), subscriber })
    }

    /// The subscriber, until the follower stops.
    pub(super) fn subscriber(&self) -> Option<Arc<dyn Subscriber>> {
        self.subscriber.lock().unwrap_or_else(sluice_failure::poisoned).clone()
    }

    pub(super) fn end_subscription(&self) {
        self.subscriber.lock().unwrap_or_else(sluice_failure::poisoned).take();
    }

    /// Counts a follower for each of `topics`; `Some` if any is still to be opened, to wait on.
    pub(super) fn follow(&self, topics: &[Topic]) -> Option<Arc<Opened>> {
        let mut locked = self.shared.topics();
        let mut opened: Option<Arc<Opened>> = None;
        for topic in topics {
            if let Some(opening) = locked.follow(topic, &*self.shared.sink) {
                let opened = opened.get_or_insert_with(Arc::default);
                opening.wait_for(opened);
            }
        }
        drop(locked);
        if opened.is_some() {
            self.shared.wanted.notify_one();
        }
        opened
    }

    /// Whether `topics`, with those that are followed, are no more than may be.
    pub(super) fn has_room(&self, topics: &[Topic]) -> bool {
        self.settings.topics_max == 0 || self.shared.topics().has_room(topics, self.settings.topics_max)
    }

    /// Counts a follower for each of `topics`, or for none if they are too many.
    pub(super) fn reserve(&self, topics: &[Topic]) -> bool {
        let mut locked = self.shared.topics();
        if !locked.has_room(topics, self.settings.topics_max) {
            return false;
        }
        let mut opening = false;
        for topic in topics {
            opening |= locked.follow(topic, &*self.shared.sink).is_some();
        }
        drop(locked);
        if opening {
            self.shared.wanted.notify_one();
        }
        true
    }

    pub(super) fn unfollow(&self, topics: &[Topic]) {
        let now_ms = self.shared.now_ms();
        let mut locked = self.shared.topics();
        for topic in topics {
            locked.unfollow(topic, now_ms);
        }
    }

    /// Ends the subscriptions that have lingered long enough.
    pub(super) fn sweep(&self) {
        let linger_ms = u64::try_from(self.settings.linger.as_millis()).unwrap_or(u64::MAX);
        let Some(until_ms) = self.shared.now_ms().checked_sub(linger_ms) else { return };
        let mut locked = self.shared.topics();
        let swept = locked.sweep(until_ms);
        swept.iter().for_each(|topic| self.shared.sink.closed(topic));
        if !swept.is_empty()
            && let Some(subscriber) = self.subscriber()
        {
            // Under the lock, so that one who follows the topic anew subscribes after this.
            subscriber.remove(&swept);
        }
    }

    pub(super) fn holes(&self) -> MutexGuard<'_, Holes> {
        self.holes.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    /// `items` apart by the partition of their topics.
    pub(super) fn by_partition<T>(
        &self,
        items: Vec<T>,
        topic: impl Fn(&T) -> &Topic,
    ) -> IndexMap<Partition, Vec<T>> {
        let mut parts: IndexMap<Partition, Vec<T>> = IndexMap::new();
        for item in items {
            parts.entry(self.broker.partition(topic(&item))).or_default().push(item);
        }
        parts
    }

    /// What a look at the logs confirms that began at `time_ms` of the broker's clock.
    pub(super) fn confirmed_ms(&self, time_ms: u64) -> u64 {
        let margin_ms = u64::try_from(self.settings.confirm_margin.as_millis()).unwrap_or(u64::MAX);
        time_ms.saturating_sub(margin_ms)
    }

    /// When the logs were looked at that confirmed `confirmed_ms`.
    pub(super) fn looked_ms(&self, confirmed_ms: u64) -> u64 {
        let margin_ms = u64::try_from(self.settings.confirm_margin.as_millis()).unwrap_or(u64::MAX);
        confirmed_ms.saturating_add(margin_ms)
    }

    /// Notes that the broker's clock stood at `time_ms`.
    pub(super) fn note_clock(&self, time_ms: u64) {
        self.shared.clock_ms.store(time_ms, Ordering::Relaxed);
    }

    /// Whether the broker's clock has not reached `id` yet, as far as is known here: it is the id of a log that another
    /// may take the place of without giving a greater one.
    pub(super) fn is_ahead(&self, id: EventId) -> bool {
        let clock_ms = self.shared.clock_ms.load(Ordering::Relaxed);
        let slack_ms = u64::try_from(self.settings.replay.rewind_margin.as_millis() / 2).unwrap_or(u64::MAX);
        clock_ms > 0 && id.ms > clock_ms.saturating_add(slack_ms)
    }

    pub(super) async fn reach(&self, topic: &Topic, id: EventId) -> EventId {
        let mut asked = false;
        loop {
            let refilled = self.shared.refilled.notified();
            tokio::pin!(refilled);
            refilled.as_mut().enable();
            {
                let mut locked = self.shared.topics();
                let Some((position, reading)) = locked.position(topic) else { return EventId::ZERO };
                if position >= id || (asked && !reading) {
                    return position;
                }
                locked.suspect(topic, id);
                asked = true;
            }
            self.shared.holes.notify_one();
            tokio::select! {
                () = refilled => {}
                () = self.stop.cancelled() => {
                    return self.shared.topics().position(topic).map_or(EventId::ZERO, |(position, _)| position);
                }
            }
        }
    }

    pub(super) fn status(&self) -> FollowerStatus {
        let health = self.subscriber().map(|subscriber| subscriber.health()).unwrap_or_default();
        let checked_ms = self.shared.tail_checked_ms.load(Ordering::Relaxed);
        let age_ms = checked_ms.checked_sub(1).map(|at| self.shared.now_ms().saturating_sub(at));
        let locked = self.shared.topics();
        FollowerStatus {
            live: locked.live,
            topics: locked.len(),
            refilling: locked.counts.refilling,
            events: locked.counts.events,
            holes_found: locked.counts.holes_found,
            holes_refilled: locked.counts.holes_refilled,
            gaps: locked.counts.gaps,
            left_out: locked.complaints.total(),
            tail_checks: self.shared.tail_checks.load(Ordering::Relaxed),
            tail_checked_topics: self.shared.tail_checked_topics.load(Ordering::Relaxed),
            tail_check_age: age_ms.map(Duration::from_millis),
            servers: health.shards_wanted,
            servers_connected: health.shards_connected,
            reconnects: health.reconnects,
            probe_round_trip: health.probe_round_trip,
        }
    }
}

impl Shared {
    pub(super) fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    /// Counts one read that compared so many topics.
    pub(super) fn note_tail_check(&self, topics: usize) {
        self.tail_checks.fetch_add(1, Ordering::Relaxed);
        self.tail_checked_topics.fetch_add(u64::try_from(topics).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.tail_checked_ms.store(self.now_ms() + 1, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Listener for Shared {
    fn announced(&self, topic: &str, message: Announcement) {
        let mut locked = self.topics();
        locked.announced(topic, message, &*self.sink);
        let holes = locked.has_holes();
        drop(locked);
        if holes {
            self.holes.notify_one();
        }
    }

    fn lost(&self, topics: &[Topic]) {
        self.topics().lost(topics);
    }

    fn restored(&self, topics: &[Topic]) {
        self.topics().restored(topics);
        self.away.retry();
        self.wanted.notify_one();
        self.holes.notify_one();
        self.restored.notify_one();
    }

    fn broken(&self, why: &str) {
        self.outage().failed(Instant::now());
        warn!(error = why, "lost the subscription to Redis; streams stay open, reconnecting");
        let mut locked = self.topics();
        (locked.whole, locked.live) = (false, false);
        self.sink.link(false);
    }

    fn whole(&self) {
        let mut locked = self.topics();
        locked.whole = true;
        let topics = locked.len();
        drop(locked);
        match self.outage().ended(Instant::now()) {
            Some(took) => {
                let took_ms = millis(took);
                info!(topics, took_ms, "subscribed to Redis again; checking topics for missed events");
            }
            None => info!(topics, "subscribed to Redis"),
        }
        self.restored.notify_one();
    }
}
