//! What a process tells about itself: log lines on stderr, metrics to whoever scrapes, traces to a collector.
//!
//! The recorder buffers histogram samples until they are read, so nothing on the way of an event records into
//! it: hot paths count in atomics of their own and hand them over when a scrape asks ([`Telemetry::on_scrape`],
//! [`Telemetry::on_scrape_histogram`]).

mod buckets;
mod logs;
pub mod metric;
pub mod metrics;
mod process;
pub(crate) mod threads;
mod traces;

pub use buckets::BucketCounts;
pub use logs::LogError;
pub use metrics::Telemetry;
pub use traces::{Traces, TracesError};

/// Why telemetry did not come up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log could not be set up.
    #[error("the log could not be set up: {0}")]
    Log(#[from] LogError),
    /// This process already has a metrics recorder.
    #[error("metrics are already being recorded in this process")]
    Recorder,
    /// A metric of the list has no bounds for its buckets.
    #[error("the metric {0} has no buckets")]
    Buckets(&'static str),
}
