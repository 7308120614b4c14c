//! What the process does about failures inside it: counts and logs each, and ends in good order when one cannot be
//! contained.
//!
//! All of this runs in the panic hook, so it takes no lock of its own and allocates little. A log line has the place in
//! the source, never the data: the message of a panic is told only where it cannot hold any.

use std::backtrace::Backtrace;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sluice_failure::{Failure, Panic, Place};

use crate::lifecycle::Lifecycle;
use crate::telemetry::metric::{self, Counter};

/// Log lines about panics in one second. A hostile caller may cause as many panics as it sends requests.
const LINES_PER_SECOND: u64 = 5;
/// Contained panics whose log line names the functions that were running: finding their names costs milliseconds.
const TRACED_MAX: u64 = 8;
/// Functions that such a line names.
const FRAMES_MAX: usize = 8;
/// Functions between a panic and its log line.
const FRAMES_OF_THE_HOOK: [&str; 2] = ["sluice_runtime::failures", "sluice_failure::"];
/// Label of a panic that nothing contains.
const PROCESS: &str = "process";

/// Watches this process: from now on no panic is lost, and one that is not contained makes `lifecycle` fail.
/// Returns `false` if the process is watched already.
pub fn watch(lifecycle: &Lifecycle) -> bool {
    let lifecycle = lifecycle.clone();
    let of = |place| metric::PANICS.counter(&[("place", place)]);
    let contained = Place::ALL.map(|place| (place, of(place.as_str())));
    let uncontained = of(PROCESS);
    // The counters are visible to `rate()` before the first panic.
    contained
        .iter()
        .map(|(_, counter)| counter)
        .chain([&uncontained])
        .for_each(|counter| counter.increment(0));
    let (lines, traced) = (Lines::new(), AtomicU64::new(0));
    sluice_failure::watch(move |failure| match failure {
        Failure::Panic(panic) => {
            counter(&contained, &uncontained, panic.place).increment(1);
            if let Some(suppressed) = lines.take() {
                let with_frames = traced.fetch_add(1, Ordering::AcqRel) < TRACED_MAX || panic.place.is_none();
                log(panic, suppressed, with_frames);
            }
            if panic.place.is_none() && lifecycle.fail() {
                tracing::error!(
                    "shutting down: a part of the process that it cannot do without has panicked"
                );
            }
        }
        Failure::Poisoned => {
            if lifecycle.fail() {
                tracing::error!(
                    "shutting down: shared state may be half changed, because a panic held its lock"
                );
            }
        }
        Failure::Fatal(part) => {
            if lifecycle.fail() {
                tracing::error!(
                    part,
                    "shutting down: a part of the process that it cannot do without has ended"
                );
            }
        }
    })
}

fn counter<'a>(
    contained: &'a [(Place, Counter)],
    uncontained: &'a Counter,
    place: Option<Place>,
) -> &'a Counter {
    let known = contained.iter().find(|(known, _)| Some(*known) == place);
    known.map_or(uncontained, |(_, counter)| counter)
}

fn log(panic: &Panic<'_>, suppressed: u64, with_frames: bool) {
    let place = panic.place.map_or(PROCESS, Place::as_str);
    let reason = panic.message.unwrap_or("withheld, since it may hold data");
    let at = panic.location.map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let frames = with_frames.then(own_frames);
    let text = if panic.place.is_some() { "panicked; only this work was ended" } else { "panicked" };
    tracing::error!(place, at, reason, thread, frames, suppressed, "{text}");
}

/// Returns the innermost functions of Sluice that were running: the place alone may be one of the standard library.
fn own_frames() -> String {
    let backtrace = Backtrace::force_capture().to_string();
    let own =
        |line: &&str| line.contains("sluice") && !FRAMES_OF_THE_HOOK.iter().any(|hook| line.contains(hook));
    let names = backtrace.lines().filter(own).filter_map(|line| line.split_once(": ")).map(|(_, name)| name);
    names.take(FRAMES_MAX).collect::<Vec<_>>().join(" < ")
}

/// A limit on log lines that needs no lock.
struct Lines {
    began: Instant,
    second: AtomicU64,
    written: AtomicU64,
    suppressed: AtomicU64,
}

impl Lines {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { began: Instant::now(), second: zero(), written: zero(), suppressed: zero() }
    }

    /// Takes one of this second's lines, with the number of those suppressed before it; `None` if there is none left.
    fn take(&self) -> Option<u64> {
        let now = self.began.elapsed().as_secs();
        if self.second.swap(now, Ordering::AcqRel) != now {
            self.written.store(0, Ordering::Release);
        }
        if self.written.fetch_add(1, Ordering::AcqRel) >= LINES_PER_SECOND {
            self.suppressed.fetch_add(1, Ordering::AcqRel);
            return None;
        }
        Some(self.suppressed.swap(0, Ordering::AcqRel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_panics_is_logged_in_part_and_its_rest_counted() {
        let lines = Lines { began: Instant::now(), ..Lines::new() };
        let taken: Vec<_> = (0..2 * LINES_PER_SECOND).map(|_| lines.take()).collect();
        let written = taken.iter().flatten().count() as u64;
        assert!((LINES_PER_SECOND..2 * LINES_PER_SECOND).contains(&written), "{taken:?}");
        // Another second begins.
        lines.second.store(u64::MAX, Ordering::Release);
        let suppressed = lines.take().unwrap();
        let told: u64 = taken.iter().flatten().sum();
        assert_eq!(told + suppressed, 2 * LINES_PER_SECOND - written);
    }
}
