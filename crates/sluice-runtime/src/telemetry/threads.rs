//! CPU time by thread, as the kernel counts it: which shard or worker is busy, without a profiler.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use serde_json::{Value, json};

use super::process::Times;

/// The CPU time that each thread of this process has used up to a moment.
#[derive(Debug)]
pub(crate) struct ThreadTimes {
    at: Instant,
    /// By thread id: its name and its clock ticks.
    threads: BTreeMap<u32, (String, u64)>,
}

impl ThreadTimes {
    /// The times now. Threads that end while they are read are left out.
    pub(crate) fn read() -> Self {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let (Some(id), Some(times)) = (id, Times::parse(&stat)) else { continue };
            let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
            threads.insert(id, (name.map_or_else(String::new, |(name, _)| name.to_owned()), times.cpu_ticks));
        }
        Self { at: Instant::now(), threads }
    }

    /// What was used since `before`, the busiest thread first.
    pub(crate) fn since(&self, before: &Self) -> Value {
        let over = self.at.duration_since(before.at);
        let mut threads: Vec<(u64, u32, &str)> = Vec::new();
        for (id, (name, ticks)) in &self.threads {
            let used = before.threads.get(id).map_or(*ticks, |(_, earlier)| ticks.saturating_sub(*earlier));
            threads.push((used, *id, name));
        }
        threads.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let told: Vec<Value> = threads
            .into_iter()
            .map(|(ticks, id, name)| {
                let cpu = Duration::from_millis(ticks * 1_000 / clock_ticks_per_second());
                let percent = cpu.as_secs_f64() / over.as_secs_f64().max(f64::EPSILON) * 100.0;
                json!({"thread": id, "name": name, "cpu_ms": cpu.as_millis(), "percent": percent.round()})
            })
            .collect();
        json!({"over_ms": over.as_millis(), "threads": told})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_comes_first_with_its_name() {
        let before = ThreadTimes::read();
        let busy = std::thread::Builder::new().name("busy (one)".to_owned()).spawn(|| {
            let until = Instant::now() + Duration::from_millis(300);
            let mut sum = 0_u64;
            while Instant::now() < until {
                sum = sum.wrapping_mul(31).wrapping_add(7);
            }
            let told = ThreadTimes::read();
            (std::hint::black_box(sum), told)
        });
        let (_, after) = busy.unwrap().join().unwrap();
        let told = after.since(&before);
        let threads = told["threads"].as_array().unwrap();
        let busy = threads.iter().find(|thread| thread["name"] == "busy (one)").unwrap();
        assert!(busy["cpu_ms"].as_u64().unwrap() > 0, "{told}");
    }
}
