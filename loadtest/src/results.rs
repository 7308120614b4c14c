//! What a run found, as it is written to JSON and printed. Field names are part of the format: goals name them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::generator::protocol::Counts;
use crate::measure::Kernel;

/// The result of one scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) scenario: String,
    pub(crate) about: String,
    /// Seconds since the Unix epoch.
    pub(crate) started_s: u64,
    pub(crate) machine: Machine,
    pub(crate) targets: Vec<TargetResult>,
    pub(crate) goals: Vec<GoalResult>,
}

/// Where it ran.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

/// One target.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TargetResult {
    pub(crate) target: String,
    pub(crate) parts: Vec<PartResult>,
    /// Why the target was given up.
    pub(crate) error: Option<String>,
}

/// One part.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartResult {
    pub(crate) part: String,
    pub(crate) streams: u64,
    pub(crate) open_s: f64,
    pub(crate) memory: MemoryResult,
    pub(crate) steps: Vec<StepResult>,
}

/// Memory, in bytes. Nothing is known of servers whose processes were not named (`--pid`).
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct MemoryResult {
    /// Resident memory of the servers when ready, before any stream.
    pub(crate) fresh_bytes: Option<u64>,
    /// After the warm-up streams were closed.
    pub(crate) idle_bytes: Option<u64>,
    /// With all streams open.
    pub(crate) open_bytes: Option<u64>,
    /// From idle to open, by stream.
    pub(crate) bytes_per_stream: Option<f64>,
    /// From fresh to open, by stream: one-time costs included.
    pub(crate) bytes_per_stream_from_fresh: Option<f64>,
    /// What the kernel took, for both ends.
    pub(crate) kernel: Kernel,
    /// `kernel.slab` by stream.
    pub(crate) kernel_bytes_per_stream: Option<f64>,
}

/// One step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StepResult {
    pub(crate) step: String,
    /// The measured span: from the first publish to the last.
    pub(crate) seconds: f64,
    pub(crate) offered_per_s: f64,
    pub(crate) published: u64,
    pub(crate) published_per_s: f64,
    /// Not published because too many events were on their way (`ahead_max`).
    pub(crate) withheld: u64,
    /// How late publishes were against their schedule.
    pub(crate) publish_late_p99_ms: f64,
    pub(crate) deliveries: u64,
    /// In the measured span alone.
    pub(crate) deliveries_per_s: f64,
    /// From the last publish until nothing was missing.
    pub(crate) settle_s: f64,
    /// Streams that were not open at the end.
    pub(crate) waiting: u64,
    pub(crate) continuity: Continuity,
    pub(crate) streams: Counts,
    pub(crate) failures: BTreeMap<String, u64>,
    /// Publish to receive, for `all` and for each group.
    pub(crate) latency: BTreeMap<String, Latency>,
    pub(crate) server: ServerCost,
    pub(crate) redis: RedisCost,
    pub(crate) generator_cpu_ms: u64,
}

/// Whether every stream saw every event once and in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Continuity {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    pub(crate) foreign: u64,
    pub(crate) gaps: u64,
}

/// What the servers used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ServerCost {
    pub(crate) cpu_ms: u64,
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) rss_before_bytes: u64,
    pub(crate) rss_max_bytes: u64,
    pub(crate) rss_growth_bytes: u64,
}

/// What Redis used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RedisCost {
    pub(crate) cpu_ms: u64,
    /// `XRANGE`, `XREVRANGE` and `XREAD` together.
    pub(crate) log_reads: u64,
    /// Calls by command.
    pub(crate) commands: BTreeMap<String, u64>,
}

/// Quantiles of a latency.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// A goal, held against the result.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GoalResult {
    pub(crate) say: String,
    pub(crate) value: Option<f64>,
    pub(crate) at_most: Option<f64>,
    pub(crate) at_least: Option<f64>,
    /// `None` when the number was not measured.
    pub(crate) reached: Option<bool>,
}

impl Results {
    /// Whether nothing was lost, repeated, reordered or left unopened anywhere.
    pub(crate) fn is_clean(&self) -> bool {
        self.targets.iter().all(|target| {
            target.error.is_none()
                && target.parts.iter().flat_map(|part| &part.steps).all(StepResult::is_clean)
        })
    }
}

impl StepResult {
    /// Whether every stream was there and saw every event once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        self.continuity == Continuity::default() && self.waiting == 0 && self.streams.failed == 0
    }
}

impl Latency {
    /// From a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: ms(1.0),
        }
    }
}

/// Microseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// `part` of each of `count`; nothing of none.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn each(part: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| part as f64 / count as f64)
}
