//! A log as a list, with the announcements that are under way.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sluice_wire::envelope::LiveMessage;
use sluice_wire::{ByteString, Event, EventId, NewEvent, Topic};

use crate::broker::Announcement;
use crate::{
    Appended, Broker, BrokerError, CountedBack, Listener, LogHead, Page, Retention, Subscriber, Tail, Tails,
};

#[derive(Debug, Default)]
pub(super) struct Model(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    all: Vec<Event>,
    trimmed: usize,
    last: EventId,
    next_ms: u64,
    /// Entries of `all` that are not events.
    invalid: BTreeSet<EventId>,
    under_way: VecDeque<Announcement>,
}

impl Log {
    fn retained(&self) -> &[Event] {
        &self.all[self.trimmed..]
    }

    fn append(&mut self, prev: Option<EventId>) -> Event {
        self.next_ms += 10;
        let id = EventId::at(self.next_ms);
        let event = Event { id, prev, event_type: None, data: ByteString::new(), traceparent: None };
        self.last = id;
        self.all.push(event.clone());
        event
    }

    fn read(&self, from: EventId, to: EventId, limit: usize) -> Page {
        let within = self.retained().iter().filter(|event| event.id >= from && event.id <= to);
        let entries: Vec<Event> = within.take(limit).cloned().collect();
        let (first, last) = (entries.first().map(|entry| entry.id), entries.last().map(|entry| entry.id));
        let more = entries.len() == limit;
        let (skipped, events): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| self.invalid.contains(&entry.id));
        Page { events, first, last, more, skipped: skipped.iter().map(|entry| entry.id).collect() }
    }
}

impl Model {
    pub(super) fn publish(&self) {
        let mut log = self.0.lock().unwrap();
        let prev = Some(log.last);
        let event = log.append(prev);
        log.under_way.push_back(Announcement::Message(LiveMessage::Event(event)));
    }

    /// An entry whose data no client can be given, and its announcement.
    pub(super) fn invalid(&self) {
        let mut log = self.0.lock().unwrap();
        let prev = Some(log.last);
        let id = log.append(prev).id;
        log.invalid.insert(id);
        log.under_way.push_back(Announcement::Foreign("not UTF-8".into()));
    }

    pub(super) fn plain_xadd(&self) {
        self.0.lock().unwrap().append(None);
    }

    pub(super) fn next_announcement(&self) -> Option<Announcement> {
        self.0.lock().unwrap().under_way.pop_front()
    }

    pub(super) fn lose_announcements(&self) {
        self.0.lock().unwrap().under_way.clear();
    }

    pub(super) fn trim(&self, count: usize) {
        let mut log = self.0.lock().unwrap();
        log.trimmed = (log.trimmed + count).min(log.all.len());
    }

    /// Forgets the newest `count` entries, as a failover to a replica that lagged does.
    pub(super) fn rewind(&self, count: usize) {
        let mut log = self.0.lock().unwrap();
        let left = log.all.len() - count;
        log.all.truncate(left);
        log.last = log.all.last().map_or(EventId::ZERO, |event| event.id);
    }

    pub(super) fn head(&self) -> LogHead {
        let log = self.0.lock().unwrap();
        LogHead {
            last: log.last,
            oldest: log.retained().first().map(|event| event.id),
            whole: log.trimmed == 0,
            ..LogHead::default()
        }
    }

    /// The id of the second event: where the tests open the topic.
    pub(super) fn opening(&self) -> EventId {
        self.0.lock().unwrap().all[1].id
    }

    pub(super) fn all_behind_opening(&self) -> Vec<EventId> {
        let log = self.0.lock().unwrap();
        log.all[2..].iter().map(|event| event.id).filter(|id| !log.invalid.contains(id)).collect()
    }

    /// How many entries were ever appended behind `from`, up to `to`.
    pub(super) fn entries_between(&self, from: EventId, to: EventId) -> usize {
        self.0.lock().unwrap().all.iter().filter(|entry| entry.id > from && entry.id <= to).count()
    }

    pub(super) fn is_retained(&self, id: EventId) -> bool {
        self.0.lock().unwrap().retained().iter().any(|event| event.id == id)
    }

    pub(super) fn event_behind(&self, position: EventId) -> Event {
        let mut event = self.0.lock().unwrap().all[0].clone();
        (event.id, event.prev) = (position.after(), Some(position));
        event
    }
}

#[async_trait]
impl Broker for Model {
    async fn append(&self, _: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        Vec::new()
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        Ok(topics.iter().map(|_| self.head()).collect())
    }

    async fn read(&self, _: &Topic, from: EventId, to: EventId, limit: usize) -> Result<Page, BrokerError> {
        Ok(self.0.lock().unwrap().read(from, to, limit))
    }

    async fn newest_until(&self, _: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        let log = self.0.lock().unwrap();
        Ok(log.retained().iter().rev().map(|event| event.id).find(|id| *id <= at))
    }

    async fn count_back(&self, _: &Topic, _: EventId, _: usize) -> Result<CountedBack, BrokerError> {
        Ok(CountedBack::default())
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        let log = self.0.lock().unwrap();
        let mut tails = Tails { time_ms: log.next_ms, ..Tails::default() };
        for (index, (_, position)) in positions.iter().enumerate() {
            let page = log.read(position.after(), EventId::MAX, limit);
            if page.first.is_some() {
                tails.behind.push(Tail { index, page });
            }
        }
        Ok(tails)
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        Ok(Duration::ZERO)
    }

    fn retention(&self, _: &Topic) -> Retention {
        Retention::UNLIMITED
    }

    #[expect(clippy::unreachable, reason = "a panic is how a test fails")]
    fn listen(&self, _: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        unreachable!("announcements are taken by hand")
    }
}
