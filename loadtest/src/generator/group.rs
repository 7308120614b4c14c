//! What a generator knows of a group of streams while it runs.

use hdrhistogram::Histogram;

use super::protocol::GroupReport;
use crate::pacing::Pace;
use crate::scenario::Group;

/// The longest latency that is told apart, in microseconds: ten minutes.
pub(crate) const LATENCY_US_MAX: u64 = 600_000_000;

/// A histogram of latencies in microseconds, three digits of them.
pub(crate) fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "the bounds are constants that the crate accepts")]
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("valid bounds")
}

/// A group of streams and its measurements since the step began.
pub(super) struct RunningGroup {
    pub(super) slow_bytes_per_second: Option<u32>,
    pub(super) churn_per_second: Option<f64>,
    pub(super) churn: Option<Pace>,
    /// The group's streams in this process, as a range of the streams' table.
    pub(super) streams: std::ops::Range<u32>,
    pub(super) churn_next: u32,
    received: u64,
    latencies: Histogram<u64>,
}

impl RunningGroup {
    pub(super) fn new(group: &Group, streams: std::ops::Range<u32>, workers: u32) -> Self {
        Self {
            slow_bytes_per_second: group.read_bytes_per_second,
            churn_per_second: group.churn_per_second.map(|rate| rate / f64::from(workers)),
            churn: None,
            churn_next: streams.start,
            streams,
            received: 0,
            latencies: histogram(),
        }
    }

    /// A step begins.
    pub(super) fn begin(&mut self) {
        self.received = 0;
        self.latencies.reset();
    }

    /// An event came that was published `latency_ns` ago.
    #[inline]
    pub(super) fn record(&mut self, latency_ns: u64) {
        self.received += 1;
        self.latencies.saturating_record(latency_ns / 1000);
    }

    pub(super) fn report(&self) -> GroupReport {
        let recorded = self.latencies.iter_recorded();
        let latencies_us = recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        GroupReport { received: self.received, latencies_us }
    }
}
