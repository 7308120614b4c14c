//! The CPU profiler, in builds that have it.
//!
//! It samples by a timer signal and unwinds on the interrupted thread, in a crate of its own that is anything but
//! small; so it is a feature of the build, `profiling`, besides a switch of the configuration.

#[cfg(feature = "profiling")]
mod encoding;
#[cfg(feature = "profiling")]
mod sampler;

use sluice_runtime::ops::CpuProfiler;

/// The profiler of this build, if it has one.
pub(crate) fn cpu() -> Option<CpuProfiler> {
    #[cfg(feature = "profiling")]
    let profiler = Some(sampler::profiler());
    #[cfg(not(feature = "profiling"))]
    let profiler = None;
    profiler
}
