//! What was really published, and what the counters say of the ways that events took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use sluice_wire::{EventId, Topic};

/// The topics of every test.
pub(super) const TOPICS: [&str; 3] = ["alpha", "beta", "gamma"];

pub(super) fn topic(index: usize) -> Topic {
    Topic::parse(TOPICS[index]).unwrap()
}

/// Every event ever published. The events of a topic have numbers from 1, which no failover gives twice.
#[derive(Debug)]
pub(super) struct Ledger {
    logs: [History; TOPICS.len()],
    /// Events that a log keeps.
    retained: usize,
    /// Events that failovers took back.
    pub(super) lost: usize,
}

/// One topic: what was ever in its log, and what of that is its present past.
#[derive(Debug, Default)]
struct History {
    /// By number.
    ever: Vec<Published>,
    /// The numbers that no failover has lost, by age.
    present: Vec<usize>,
    /// How many of the present ones are trimmed.
    trimmed: usize,
}

#[derive(Debug)]
struct Published {
    id: EventId,
    /// The number of the event that stood before it in the log; 0 for none.
    before: usize,
}

impl History {
    fn newest(&self) -> usize {
        self.present.last().copied().unwrap_or(0)
    }

    fn id(&self, number: usize) -> EventId {
        self.ever[number - 1].id
    }

    /// The newest event at or before `id` that is not lost.
    fn present_at(&self, id: EventId) -> usize {
        let until = self.present.partition_point(|number| self.id(*number) <= id);
        until.checked_sub(1).map_or(0, |place| self.present[place])
    }
}

impl Ledger {
    pub(super) fn new(retained: usize) -> Self {
        Self { logs: Default::default(), retained, lost: 0 }
    }

    /// The number that the next event of a topic gets.
    pub(super) fn next_number(&self, topic: usize) -> usize {
        self.logs[topic].ever.len() + 1
    }

    /// The next event of a topic was given `id`.
    pub(super) fn note(&mut self, topic: usize, id: EventId) {
        let log = &mut self.logs[topic];
        log.ever.push(Published { id, before: log.newest() });
        log.present.push(log.ever.len());
        log.trimmed = log.trimmed.max(log.present.len().saturating_sub(self.retained));
    }

    /// Redis lost every event with an id of `from_ms` or later.
    pub(super) fn lose_from(&mut self, from_ms: u64) {
        for log in &mut self.logs {
            while log.present.len() > log.trimmed && log.id(log.newest()).ms >= from_ms {
                log.present.pop();
                self.lost += 1;
            }
        }
    }

    /// The newest event.
    pub(super) fn newest(&self, topic: usize) -> usize {
        self.logs[topic].newest()
    }

    /// How many events a topic has, trimmed ones among them.
    pub(super) fn len(&self, topic: usize) -> usize {
        self.logs[topic].present.len()
    }

    /// How many of them come up to and including `number`.
    pub(super) fn count_to(&self, topic: usize, number: usize) -> usize {
        self.logs[topic].present.partition_point(|present| *present <= number)
    }

    /// How many of them are trimmed.
    pub(super) fn trimmed(&self, topic: usize) -> usize {
        self.logs[topic].trimmed
    }

    /// Whether everything up to `number` is trimmed.
    pub(super) fn is_trimmed(&self, topic: usize, number: usize) -> bool {
        self.count_to(topic, number) <= self.trimmed(topic)
    }

    /// Whether nothing is left in the log, although there was something.
    pub(super) fn is_empty(&self, topic: usize) -> bool {
        let trimmed = self.trimmed(topic);
        trimmed > 0 && trimmed == self.len(topic)
    }

    /// Whether a failover lost the event.
    pub(super) fn is_lost(&self, topic: usize, number: usize) -> bool {
        number > 0 && self.logs[topic].present.binary_search(&number).is_err()
    }

    /// Whether a failover lost an event with an id up to `to`.
    pub(super) fn is_any_lost(&self, topic: usize, to: EventId) -> bool {
        let log = &self.logs[topic];
        (1..=log.ever.len()).any(|number| log.id(number) <= to && self.is_lost(topic, number))
    }

    /// The event that stood before `number` when that was published; 0 for none.
    pub(super) fn before(&self, topic: usize, number: usize) -> usize {
        self.logs[topic].ever[number - 1].before
    }

    /// The event that a position means: the one with that id, lost or not, else the newest before it that is there.
    pub(super) fn number_at(&self, topic: usize, id: EventId) -> usize {
        let log = &self.logs[topic];
        let exact = log.ever.iter().position(|event| event.id == id);
        exact.map_or_else(|| log.present_at(id), |index| index + 1)
    }

    /// The newest event at or before `id` that is there.
    pub(super) fn present_at(&self, topic: usize, id: EventId) -> usize {
        self.logs[topic].present_at(id)
    }

    pub(super) fn id(&self, topic: usize, number: usize) -> EventId {
        self.logs[topic].id(number)
    }

    /// The id of the event at a place among those that are there, from 0.
    pub(super) fn id_at(&self, topic: usize, place: usize) -> EventId {
        let log = &self.logs[topic];
        log.id(log.present[place])
    }
}

/// Counters by name, for one test.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    counts: Arc<Mutex<BTreeMap<String, Arc<Count>>>>,
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Counts {
    pub(super) fn get(&self, name: &str) -> u64 {
        self.counts.lock().unwrap().get(name).map_or(0, |count| count.0.load(Ordering::Relaxed))
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counts = self.counts.lock().unwrap();
        Counter::from_arc(counts.entry(key.name().to_owned()).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
