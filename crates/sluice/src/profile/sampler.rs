//! Takes samples of all threads for a time.

use std::time::{Duration, Instant, UNIX_EPOCH};

use pprof::{ProfilerGuardBuilder, Report};
use sluice_runtime::ops::CpuProfiler;
use tokio::task::spawn_blocking;

use super::encoding::{Frame, Profile, Stack};

/// Samples a second of CPU time: not a divisor of anything that the node does every second.
const HERTZ: i32 = 99;
/// Where a thread must not be unwound: it may hold locks that the unwinder takes.
const SKIPPED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

pub(super) fn profiler() -> CpuProfiler {
    Box::new(|time| Box::pin(take(time)))
}

async fn take(time: Duration) -> Result<Vec<u8>, String> {
    let began_ns = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let began = Instant::now();
    let guard = ProfilerGuardBuilder::default().frequency(HERTZ).blocklist(&SKIPPED).build();
    let guard = guard.map_err(|error| error.to_string())?;
    tokio::time::sleep(time).await;
    let duration = began.elapsed();
    // Names of functions are looked up now, which takes longer than a task may.
    let encoded = spawn_blocking(move || {
        let report = guard.report().build().map_err(|error| error.to_string())?;
        drop(guard);
        Ok(profile(&report, began_ns, duration).encode())
    });
    encoded.await.map_err(|error| error.to_string())?
}

fn profile(report: &Report, began_ns: u128, duration: Duration) -> Profile {
    let stacks = report.data.iter().map(|(stack, samples)| Stack {
        thread: stack.thread_name_or_id(),
        frames: stack
            .frames
            .iter()
            .flatten()
            .map(|symbol| Frame {
                name: symbol.name(),
                file: symbol.filename().into_owned(),
                line: u64::from(symbol.lineno()),
            })
            .collect(),
        samples: u64::try_from(*samples).unwrap_or(0),
    });
    Profile {
        stacks: stacks.collect(),
        period_ns: 1_000_000_000 / u64::try_from(HERTZ).unwrap_or(1),
        began_ns: u64::try_from(began_ns).unwrap_or(0),
        duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(0),
    }
}
