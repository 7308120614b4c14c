//! Reads of logs that many streams want at the same time are made once.
//!
//! Ten thousand clients that lost their node come back with much the same cursors. The first of them to ask
//! for a page reads it; who asks for the same page meanwhile gets the same answer. To make the questions the
//! same, a page is always read to the end of the log and cut at the fence afterwards.
//!
//! Invariant: an answer knows every event that was in the log when its asker asked. A read that was under way
//! by then may have looked before; it counts only for whom it reaches the fence.
//!
//! A server that does not answer is asked by one stream now and then, not by all: otherwise those that want what it has
//! would keep the readers' places, a timeout each, from those that want something else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use sluice_broker::{
    Appended, Away, Broker, BrokerError, CountedBack, Listener, LogHead, Page, Partition, Retention,
    Subscriber, Tails,
};
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::memory::{Grant, PageMemory};

/// About what one point of [`Broker::newest_until_each`] brings: the entry there. Bytes.
const POINT_BYTES: usize = 16 << 10;
/// About what is read at once only to be counted. Bytes.
const COUNT_BYTES: usize = 256 << 10;

type Question = (Topic, EventId, usize);
type Reading<A> = BoxFuture<'static, Result<A, BrokerError>>;
type Asking<A> = Shared<Reading<A>>;

/// The reads of one kind that are under way.
#[derive(Debug)]
struct UnderWay<A: Clone>(Mutex<HashMap<Question, WeakShared<Reading<A>>>>);

/// A broker whose reads under way are shared.
#[derive(Debug)]
pub(crate) struct SharedReads {
    broker: Arc<dyn Broker>,
    away: Arc<Away>,
    pages: UnderWay<Arc<Page>>,
    counts: UnderWay<CountedBack>,
    budget: ReadBudget,
    tallies: crate::tallies::Tallies,
}

/// What reads for the clients of a node may take together. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ReadBudget {
    /// Reads that may be under way.
    pub(crate) readers: Arc<Semaphore>,
    /// Memory for what they bring.
    pub(crate) memory: PageMemory,
}

impl ReadBudget {
    /// Waits for a reader's place and memory for `bytes`. To be waited for by those who hold neither.
    async fn take(&self, bytes: usize) -> (Grant, Option<SemaphorePermit<'_>>) {
        let grant = self.memory.grant(bytes).await;
        (grant, self.readers.acquire().await.ok())
    }
}

impl<A: Clone> UnderWay<A> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// The read under way that answers `question`, unless that is `stale`; else `read`, which begins now. Returns
    /// whether it was under way.
    fn ask(
        &self,
        question: &Question,
        stale: Option<&Asking<A>>,
        read: impl Future<Output = Result<A, BrokerError>> + Send + 'static,
    ) -> (Asking<A>, bool) {
        let mut under_way = self.0.lock().unwrap_or_else(sluice_failure::poisoned);
        let known = under_way.get(question).and_then(WeakShared::upgrade);
        if let Some(asking) = known.filter(|known| stale.is_none_or(|stale| !known.ptr_eq(stale))) {
            return (asking, true);
        }
        // Whoever asks sweeps up behind those who have their answers.
        under_way.retain(|_, asking| asking.upgrade().is_some());
        let asking = read.boxed().shared();
        if let Some(weak) = asking.downgrade() {
            under_way.insert(question.clone(), weak);
        }
        (asking, false)
    }
}

impl SharedReads {
    pub(crate) fn new(broker: Arc<dyn Broker>, budget: ReadBudget, tallies: crate::tallies::Tallies) -> Self {
        let (pages, counts) = (UnderWay::new(), UnderWay::new());
        Self { broker, away: Arc::default(), pages, counts, budget, tallies }
    }

    /// A page, read now or under way already unless that is `stale`.
    fn ask(&self, question: &Question, stale: Option<&Asking<Arc<Page>>>) -> (Asking<Arc<Page>>, bool) {
        let (broker, away) = (self.broker.clone(), self.away.clone());
        let (topic, from, limit) = question.clone();
        let asked = self.pages.ask(question, stale, async move {
            let reading = broker.read(&topic, from, EventId::MAX, limit);
            away.unless(&broker.partition(&topic), reading).await.map(Arc::new)
        });
        self.note(asked.1);
        asked
    }

    fn note(&self, was_under_way: bool) {
        if was_under_way {
            self.tallies.read_saved();
        } else {
            self.tallies.read_made();
        }
    }

    /// Counts entries within the budget of all reads.
    fn count(&self, question: &Question) -> impl Future<Output = Result<CountedBack, BrokerError>> + use<> {
        let (broker, away, budget) = (self.broker.clone(), self.away.clone(), self.budget.clone());
        let (topic, from, entries) = question.clone();
        async move {
            let (mut grant, _reader) = budget.take(COUNT_BYTES).await;
            let counting = broker.count_back(&topic, from, entries);
            let counted = away.unless(&broker.partition(&topic), counting).await?;
            grant.cover(counted.bytes);
            Ok(counted)
        }
    }

    /// An error while the logs of the topic's server cannot be read and somebody tries already: whoever joined the
    /// attempt would wait for it in a reader's place.
    fn check_away(&self, topic: &Topic) -> Result<(), BrokerError> {
        if self.away.is_empty() {
            return Ok(());
        }
        self.away.keep(&self.broker.partitions());
        self.away.check(&self.broker.partition(topic))
    }

    /// What comes of `reading`, which is about one topic nearly always.
    async fn of_first<T>(
        &self,
        topic: Option<&Topic>,
        reading: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        let Some(topic) = topic else { return reading.await };
        self.away.unless(&self.broker.partition(topic), reading).await
    }
}

#[async_trait]
impl Broker for SharedReads {
    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        let question = (topic.clone(), from, limit);
        self.check_away(topic)?;
        let (asking, was_under_way) = self.ask(&question, None);
        let page = asking.clone().await?;
        if !was_under_way || page.more || page.last >= Some(to) {
            return Ok(cut(&page, to));
        }
        let (asking, _) = self.ask(&question, Some(&asking));
        Ok(cut(&*asking.await?, to))
    }

    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        self.broker.append(events).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        self.of_first(topics.first(), self.broker.heads(topics)).await
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        self.of_first(Some(topic), self.broker.newest_until(topic, at)).await
    }

    /// One question that takes a reader's place and memory once, however large the events are that it finds.
    async fn newest_until_each(
        &self,
        points: &[(Topic, EventId)],
    ) -> Result<Vec<Option<EventId>>, BrokerError> {
        let first = points.first().map(|(topic, _)| topic);
        let _budget = self.budget.take(points.len() * POINT_BYTES).await;
        self.of_first(first, self.broker.newest_until_each(points)).await
    }

    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError> {
        self.check_away(topic)?;
        let question = (topic.clone(), from, entries);
        let counting = self.count(&question);
        if from == EventId::MAX {
            // Where the log ends is asked anew: an answer that is under way may have looked before.
            self.note(false);
            return counting.await;
        }
        let (asking, was_under_way) = self.counts.ask(&question, None, counting);
        self.note(was_under_way);
        asking.await
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        let first = positions.first().map(|(topic, _)| topic);
        self.of_first(first, self.broker.tails(positions, limit)).await
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        self.broker.ping().await
    }

    fn partition(&self, topic: &Topic) -> Partition {
        self.broker.partition(topic)
    }

    fn partitions(&self) -> Vec<Partition> {
        self.broker.partitions()
    }

    async fn probe(&self, partition: &Partition) -> Result<(), BrokerError> {
        self.broker.probe(partition).await
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.broker.retention(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        self.broker.listen(listener)
    }
}

/// `page` as if it had been read to `to` only.
fn cut(page: &Page, to: EventId) -> Page {
    let events = &page.events[..page.events.partition_point(|event| event.id <= to)];
    let skipped = &page.skipped[..page.skipped.partition_point(|id| *id <= to)];
    let ends_beyond = page.last.is_some_and(|last| last > to);
    Page {
        first: page.first.filter(|first| *first <= to),
        last: events.last().map(|event| event.id).max(skipped.last().copied()),
        more: page.more && !ends_beyond,
        events: events.to_vec(),
        skipped: skipped.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use sluice_wire::{ByteString, Event};

    use super::*;

    /// A page of events with these ids, read with a limit that it reaches if there is `more`.
    fn page(ids: &[u64], more: bool) -> Page {
        let event = |ms: &u64| Event {
            id: EventId::at(*ms),
            prev: None,
            event_type: None,
            data: ByteString::from_static("x"),
            traceparent: None,
        };
        let (first, last) = (ids.first().copied().map(EventId::at), ids.last().copied().map(EventId::at));
        Page { events: ids.iter().map(event).collect(), first, last, more, skipped: Vec::new() }
    }

    #[test]
    fn a_cut_page_is_what_reading_to_the_fence_gives() {
        let long = page(&[1, 2, 3], true);
        assert_eq!(cut(&long, EventId::MAX), long);
        assert_eq!(cut(&long, EventId::at(3)), long, "there may be more at the fence's own moment");
        assert_eq!(cut(&long, EventId::at(2)), page(&[1, 2], false));
        assert_eq!(cut(&long, EventId::new(2, 5)), page(&[1, 2], false));
        assert_eq!(cut(&long, EventId::ZERO), Page::default());
        assert_eq!(cut(&page(&[], false), EventId::at(2)), Page::default());
        let skipped = [EventId::at(4), EventId::at(6)];
        let ends_skipped =
            Page { last: Some(skipped[1]), skipped: skipped.to_vec(), ..page(&[1, 2, 3, 5], true) };
        let to_skipped =
            Page { last: Some(skipped[0]), skipped: vec![skipped[0]], ..page(&[1, 2, 3], false) };
        assert_eq!(cut(&ends_skipped, EventId::at(4)), to_skipped);
        assert_eq!(cut(&ends_skipped, EventId::MAX), ends_skipped);
    }
}
