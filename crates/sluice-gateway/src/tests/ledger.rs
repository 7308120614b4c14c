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

/// Every event ever published. The events of a topic are numbered from 1.
#[derive(Debug)]
pub(super) struct Ledger {
    ids: [Vec<EventId>; TOPICS.len()],
    /// Events that a log keeps.
    pub(super) retained: usize,
}

impl Ledger {
    pub(super) fn new(retained: usize) -> Self {
        Self { ids: Default::default(), retained }
    }

    pub(super) fn note(&mut self, topic: usize, id: EventId) {
        self.ids[topic].push(id);
    }

    /// The number of the newest event.
    pub(super) fn newest(&self, topic: usize) -> usize {
        self.ids[topic].len()
    }

    /// The number of the newest event that is gone; 0 for none.
    pub(super) fn trimmed(&self, topic: usize) -> usize {
        self.newest(topic).saturating_sub(self.retained)
    }

    /// The number of the newest event at or before `id`.
    pub(super) fn number_at(&self, topic: usize, id: EventId) -> usize {
        self.ids[topic].partition_point(|known| *known <= id)
    }

    pub(super) fn id(&self, topic: usize, number: usize) -> EventId {
        self.ids[topic][number - 1]
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
