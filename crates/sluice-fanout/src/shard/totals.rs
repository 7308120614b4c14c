//! What a shard tells of itself: its thread publishes, whoever asks reads, and neither waits.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::buckets::Buckets;
use crate::core::{Core, Figures};

/// Bounds of the time that a turn of a shard's loop works. Microseconds.
pub const TURN_US: &[u64] =
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
/// Bounds of how many streams a pass visits.
pub const PASS_STREAMS: &[u64] = &[1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000];

/// A shard's [`Figures`] and sizes, published once a turn.
#[derive(Debug)]
pub(super) struct Totals {
    figures: [AtomicU64; 8],
    pub(super) streams: AtomicUsize,
    parked: AtomicUsize,
    blocked: AtomicUsize,
    feeds: AtomicUsize,
    pub(super) turns: Buckets,
    pub(super) passes: Buckets,
}

/// Figures and sizes of all shards together.
#[derive(Debug, Clone, Default)]
pub struct ShardStatus {
    /// Since the start.
    pub figures: Figures,
    /// Slots in use.
    pub streams: usize,
    /// Of those, streams that a ring has passed and that take nothing now.
    pub parked: usize,
    /// Of those, streams in a ring that take nothing now.
    pub blocked: usize,
    /// Feeds, counted once a shard.
    pub feeds: usize,
    /// Commands that wait to be taken in.
    pub commands: usize,
    /// Shards.
    pub shards: usize,
    /// How long turns worked, by the buckets of [`TURN_US`], and the sum in microseconds.
    pub turns: (Vec<u64>, u64),
    /// How many streams passes visited, by the buckets of [`PASS_STREAMS`], and the sum.
    pub passes: (Vec<u64>, u64),
}

impl Totals {
    pub(super) fn new() -> Self {
        Self {
            figures: Default::default(),
            streams: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
            feeds: AtomicUsize::new(0),
            turns: Buckets::new(TURN_US),
            passes: Buckets::new(PASS_STREAMS),
        }
    }

    pub(super) fn publish(&self, core: &Core<OwnedFd>) {
        let mut figures = core.figures().clone();
        for (figure, total) in fields_mut(&mut figures).into_iter().zip(&self.figures) {
            total.store(*figure, Ordering::Relaxed);
        }
        self.streams.store(core.len(), Ordering::Relaxed);
        self.parked.store(core.parked(), Ordering::Relaxed);
        self.blocked.store(core.blocked(), Ordering::Relaxed);
        self.feeds.store(core.feeds(), Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, status: &mut ShardStatus) {
        for (sum, figure) in fields_mut(&mut status.figures).into_iter().zip(&self.figures) {
            *sum += figure.load(Ordering::Relaxed);
        }
        status.shards += 1;
        status.streams += self.streams.load(Ordering::Relaxed);
        status.parked += self.parked.load(Ordering::Relaxed);
        status.blocked += self.blocked.load(Ordering::Relaxed);
        status.feeds += self.feeds.load(Ordering::Relaxed);
        self.turns.add_to(&mut status.turns.0, &mut status.turns.1);
        self.passes.add_to(&mut status.passes.0, &mut status.passes.1);
    }
}

fn fields_mut(figures: &mut Figures) -> [&mut u64; 8] {
    let Figures { passes, deliveries, bytes, writes, blocks, lagged, evictions, heartbeats } = figures;
    [passes, deliveries, bytes, writes, blocks, lagged, evictions, heartbeats]
}
