//! Whether a process is busy, by what the kernel says of its threads.
//!
//! On a loaded machine a thread that never sleeps gets little time of a processor, so the time that it waits for one
//! counts as well: a thread is busy in a window if it ran or wanted to run in nearly all of it.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What each thread had at one moment.
pub(super) struct Sample {
    taken: Instant,
    threads: HashMap<String, Thread>,
}

struct Thread {
    name: String,
    ran: Duration,
    waited: Duration,
}

/// The use between two samples.
#[derive(Debug)]
pub(super) struct Load {
    /// Time of processors, of all threads, for one second.
    pub(super) ran: Duration,
    /// Threads that ran or wanted to for more than nine tenths of the time.
    pub(super) busy: Vec<String>,
}

impl Sample {
    pub(super) fn take(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
            let directory = task?.path();
            // A thread may end between the listing and the look.
            let read = |name| fs::read_to_string(directory.join(name)).unwrap_or_default();
            let times = read("schedstat");
            let mut times = times.split_whitespace().filter_map(|word| word.parse().ok());
            if let (Some(ran), Some(waited)) = (times.next(), times.next()) {
                let id = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let thread = Thread {
                    name: read("comm").trim().to_owned(),
                    ran: Duration::from_nanos(ran),
                    waited: Duration::from_nanos(waited),
                };
                threads.insert(id, thread);
            }
        }
        Ok(Self { taken: Instant::now(), threads })
    }

    /// What happened between an earlier sample and this one.
    pub(super) fn since(&self, before: &Self) -> Load {
        let window = self.taken.duration_since(before.taken);
        let (mut ran, mut busy) = (Duration::ZERO, Vec::new());
        for (id, thread) in &self.threads {
            let Some(earlier) = before.threads.get(id) else { continue };
            let used = thread.ran.saturating_sub(earlier.ran);
            let wanted = used + thread.waited.saturating_sub(earlier.waited);
            ran += used;
            // One that sleeps may wait long for its processor, but runs little then.
            if wanted > window.mul_f64(0.9) && used > window / 10 {
                busy.push(format!("{} ({id}): {used:?} of {window:?}, ready for {wanted:?}", thread.name));
            }
        }
        Load { ran: ran.div_f64(window.as_secs_f64()), busy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(taken: Instant, ran_ms: u64, waited_ms: u64) -> Sample {
        let thread = Thread {
            name: "worker".to_owned(),
            ran: Duration::from_millis(ran_ms),
            waited: Duration::from_millis(waited_ms),
        };
        Sample { taken, threads: HashMap::from([("7".to_owned(), thread)]) }
    }

    #[test]
    fn a_thread_that_never_sleeps_is_busy_however_little_it_gets() {
        let began = Instant::now();
        let before = sample(began, 1_000, 500);
        let after = |ran: u64, waited: u64| {
            sample(began + Duration::from_secs(2), 1_000 + ran, 500 + waited).since(&before)
        };
        assert_eq!(after(2_000, 0).busy.len(), 1);
        assert_eq!(after(400, 1_590).busy.len(), 1);
        assert_eq!(after(100, 1_850).busy.len(), 0, "it sleeps and waits long for its turn");
        assert_eq!(after(900, 100).busy.len(), 0);
        assert_eq!(after(900, 100).ran, Duration::from_millis(450));
    }

    #[test]
    fn the_own_process_can_be_sampled() -> Result<()> {
        let pid = std::process::id();
        let before = Sample::take(pid)?;
        assert!(Sample::take(pid)?.since(&before).ran <= Duration::from_secs(64));
        Ok(())
    }
}
