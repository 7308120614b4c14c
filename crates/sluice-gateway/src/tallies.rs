//! The node's counters. Handles are kept, since looking one up by name costs twenty times its increment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, gauge};
use sluice_broker::GapReason;

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
    lag: Arc<LagBuckets>,
}

/// A histogram in fixed buckets of atomics: the exporter's own would keep every sample until the next scrape.
#[derive(Debug, Default)]
pub struct LagBuckets {
    counts: [AtomicU64; LagBuckets::BOUNDS_S.len() + 1],
    sum_us: AtomicU64,
}

impl LagBuckets {
    /// Upper bounds of the buckets but the last, in seconds.
    pub const BOUNDS_S: [f64; 15] =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

    fn record(&self, lag: Duration) {
        let bucket = Self::BOUNDS_S.partition_point(|bound| *bound < lag.as_secs_f64());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Samples of each bucket, not cumulated, and their sum in seconds.
    #[must_use]
    pub fn read(&self) -> (Vec<u64>, f64) {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        (counts, Duration::from_micros(self.sum_us.load(Ordering::Relaxed)).as_secs_f64())
    }
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
            lag: Arc::default(),
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
        counter!("sluice_streams_closed_total", "reason" => reason).increment(1);
        self.streams.decrement(1.0);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        counter!("sluice_admission_refused_total", "reason" => reason).increment(1);
    }

    pub(crate) fn catch_up_began(&self) {
        self.catching_up.increment(1.0);
    }

    pub(crate) fn catch_up_ended(&self) {
        self.catching_up.decrement(1.0);
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

    pub(crate) fn lagged(&self) {
        self.lagged.increment(1);
    }

    /// Counts how long after its publication an event had reached its streams.
    pub(crate) fn delivered(&self, published_ms: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.lag.record(now.saturating_sub(Duration::from_millis(published_ms)));
    }

    /// How long events took to their streams, since the start.
    pub(crate) fn delivery_lag(&self) -> &LagBuckets {
        &self.lag
    }
}
