//! The node's counters. Handles are kept, since looking one up by name costs twenty times its increment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, gauge};
use sluice_broker::GapReason;
use sluice_fanout::Buckets;

/// See the module.
#[derive(Clone)]
pub(crate) struct Tallies {
    events_in: Counter,
    frames_encoded: Counter,
    opened: Counter,
    streams: Gauge,
    catching_up: Gauge,
    replayed: Counter,
    reads_made: Counter,
    reads_saved: Counter,
    lagged: Counter,
    own: Arc<Lags>,
}

/// Bounds of how long events take and of how far streams fall behind. Microseconds.
pub const LAG_US: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// The histograms of a node: samples by the buckets of [`LAG_US`], not accumulated, and their sum in
/// microseconds.
#[derive(Debug, Clone, Default)]
pub struct LagFigures {
    /// From an event's publication to the last write of its first pass.
    pub delivery: (Vec<u64>, u64),
    /// From the publication of the first event that a stream lacked to its ring having passed it.
    pub catch_up: (Vec<u64>, u64),
    /// From a stream's way to its ring to its arrival, or its end.
    pub approach: (Vec<u64>, u64),
    /// How long reads of logs waited for memory, of those that had to.
    pub memory_wait: (Vec<u64>, u64),
}

#[derive(Debug)]
struct Lags {
    delivery: Buckets,
    catch_up: Buckets,
    approach: Buckets,
    memory_wait: Buckets,
    catching_up: AtomicUsize,
    drained: AtomicU64,
    cut: AtomicU64,
}

impl std::fmt::Debug for Tallies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tallies")
    }
}

impl Tallies {
    /// Handles of the recorder that is installed; without one they count nothing.
    pub(crate) fn register() -> Self {
        Self {
            events_in: counter!("sluice_events_in_total"),
            frames_encoded: counter!("sluice_frames_encoded_total"),
            opened: counter!("sluice_streams_opened_total"),
            streams: gauge!("sluice_streams_open"),
            catching_up: gauge!("sluice_catch_up_streams"),
            replayed: counter!("sluice_replay_events_total"),
            reads_made: counter!("sluice_replay_reads_total"),
            reads_saved: counter!("sluice_replay_reads_saved_total"),
            lagged: counter!("sluice_streams_lagged_total"),
            own: Arc::new(Lags {
                delivery: Buckets::new(LAG_US),
                catch_up: Buckets::new(LAG_US),
                approach: Buckets::new(LAG_US),
                memory_wait: Buckets::new(LAG_US),
                catching_up: AtomicUsize::new(0),
                drained: AtomicU64::new(0),
                cut: AtomicU64::new(0),
            }),
        }
    }

    pub(crate) fn events_in(&self, events: usize) {
        self.events_in.increment(events as u64);
        self.frames_encoded.increment(events as u64);
    }

    pub(crate) fn plain_in(&self) {
        self.events_in(1);
    }

    pub(crate) fn gap(&self, reason: GapReason) {
        counter!("sluice_gaps_total", "reason" => reason.as_str()).increment(1);
    }

    pub(crate) fn opened(&self) {
        self.opened.increment(1);
        self.streams.increment(1.0);
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        match reason {
            "drained" => self.own.drained.fetch_add(1, Ordering::Relaxed),
            "cut" => self.own.cut.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        counter!("sluice_streams_closed_total", "reason" => reason).increment(1);
        self.streams.decrement(1.0);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        counter!("sluice_admission_refused_total", "reason" => reason).increment(1);
    }

    /// A browser was told in a stream, in place of a status, that it needs new credentials.
    pub(crate) fn asked_to_renew(&self, reason: &'static str) {
        counter!("sluice_auth_renewals_asked_total", "reason" => reason).increment(1);
    }

    pub(crate) fn catch_up_began(&self) {
        self.catching_up.increment(1.0);
        self.own.catching_up.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream's way to its ring is over; it took `way`.
    pub(crate) fn catch_up_ended(&self, way: Duration) {
        self.catching_up.decrement(1.0);
        self.own.catching_up.fetch_sub(1, Ordering::Relaxed);
        self.own.approach.record(in_us(way));
    }

    /// A read of a log waited so long for memory.
    pub(crate) fn waited_for_memory(&self, wait: Duration) {
        self.own.memory_wait.record(in_us(wait));
    }

    /// Streams on their way to their rings.
    pub(crate) fn catching_up(&self) -> usize {
        self.own.catching_up.load(Ordering::Relaxed)
    }

    pub(crate) fn replayed(&self, events: usize) {
        self.replayed.increment(events as u64);
    }

    pub(crate) fn read_made(&self) {
        self.reads_made.increment(1);
    }

    pub(crate) fn read_saved(&self) {
        self.reads_saved.increment(1);
    }

    /// A ring has passed a stream; the first event that it lacks was published at `lacks_since_ms`.
    pub(crate) fn lagged(&self, lacks_since_ms: Option<u64>) {
        self.lagged.increment(1);
        if let Some(published_ms) = lacks_since_ms {
            self.own.catch_up.record(since_us(published_ms));
        }
    }

    /// Counts how long after its publication an event had reached its streams.
    pub(crate) fn delivered(&self, published_ms: u64) {
        self.own.delivery.record(since_us(published_ms));
    }

    /// How long events and streams took, since the start.
    pub(crate) fn lags(&self) -> LagFigures {
        let Lags { delivery, catch_up, approach, memory_wait, .. } = self.own.as_ref();
        LagFigures {
            delivery: delivery.read(),
            catch_up: catch_up.read(),
            approach: approach.read(),
            memory_wait: memory_wait.read(),
        }
    }

    /// Streams that the node has ended in good order, and those that it has cut off.
    pub(crate) fn ended_by_node(&self) -> (u64, u64) {
        (self.own.drained.load(Ordering::Relaxed), self.own.cut.load(Ordering::Relaxed))
    }
}

/// Microseconds since a moment in milliseconds.
fn since_us(moment_ms: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    in_us(now.saturating_sub(Duration::from_millis(moment_ms)))
}

fn in_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
