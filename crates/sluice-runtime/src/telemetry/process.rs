//! Figures about the process itself, read from `/proc` when somebody asks. Where there is no `/proc`, they
//! are left out.

use std::fs;

use rustix::param::clock_ticks_per_second;

use super::metric;
use crate::limits::descriptor_limit;

/// Puts the figures into the current recorder.
#[expect(clippy::cast_precision_loss, reason = "gauges are f64; these figures stay far below 2^52")]
pub(super) fn publish() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = status_figure(&status, "VmRSS:") {
        metric::PROCESS_RESIDENT_MEMORY.gauge(&[]).set((kib << 10) as f64);
    }
    if let Some(threads) = status_figure(&status, "Threads:") {
        metric::PROCESS_THREADS.gauge(&[]).set(threads as f64);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory being read.
        metric::PROCESS_OPEN_FDS.gauge(&[]).set(descriptors.count().saturating_sub(1) as f64);
    }
    metric::PROCESS_MAX_FDS.gauge(&[]).set(descriptor_limit() as f64);

    let ticks = clock_ticks_per_second();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(times) = Times::parse(&stat) {
        metric::PROCESS_CPU.counter(&[]).absolute(times.cpu_ticks / ticks);
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time_s(&text));
        if let Some(boot) = boot {
            let start = boot as f64 + times.start_ticks as f64 / ticks as f64;
            metric::PROCESS_START_TIME.gauge(&[]).set(start);
        }
    }
}

/// The number behind `name` in `/proc/self/status`.
fn status_figure(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Clock ticks of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) cpu_ticks: u64,
    start_ticks: u64,
}

impl Times {
    pub(super) fn parse(stat: &str) -> Option<Self> {
        // The second field is the command in parentheses and may hold anything, parentheses too; counting
        // starts behind its end, with field 3.
        let (_, after) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)? })
    }
}

fn boot_time_s(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_formats() {
        let status = "Name:\tsluice\nVmRSS:\t    7132 kB\nThreads:\t5\n";
        assert_eq!(status_figure(status, "VmRSS:"), Some(7132));
        assert_eq!(status_figure(status, "Threads:"), Some(5));
        assert_eq!(status_figure(status, "VmSwap:"), None);
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 21 13 0 0 20 0 5 0 4242 1 2 3";
        assert_eq!(Times::parse(stat), Some(Times { cpu_ticks: 34, start_ticks: 4242 }));
        assert_eq!(boot_time_s("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
