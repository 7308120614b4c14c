//! Memory and processor time of processes.

use std::fs;

/// Resident memory of some processes together, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident pages of their own: heap, stacks, and of the binaries what was touched.
    own: u64,
    /// Resident pages that they share (a shared zone is counted once).
    shared: u64,
}

impl Memory {
    /// All that is charged to the processes.
    pub(crate) fn bytes(self) -> u64 {
        self.own + self.shared
    }
}

/// The resident memory of `pids` together; those that are gone count as nothing.
pub(crate) fn memory(pids: &[u32]) -> Memory {
    let each = pids.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    each.map(|status| parse_status(&status)).fold(Memory::default(), |sum, one| Memory {
        own: sum.own + one.own,
        shared: sum.shared.max(one.shared),
    })
}

fn parse_status(status: &str) -> Memory {
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let kib = |name| value(name).unwrap_or(0) * 1024;
    Memory { own: kib("RssAnon") + kib("RssFile"), shared: kib("RssShmem") }
}

/// Processor time, user and system, that `pids` have used, in milliseconds.
pub(crate) fn cpu_ms(pids: &[u32]) -> u64 {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let each = pids.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    each.filter_map(|stat| parse_stat(&stat)).sum::<u64>() * 1000 / ticks_per_second
}

/// utime + stime. The command's name may hold anything, so fields are counted behind its last parenthesis.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// `pid` and all processes that descend from it.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(pid) = pids.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        pids.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read() {
        let status = "VmRSS:\t  3000 kB\nRssAnon:\t  1000 kB\nRssFile:\t    24 kB\nRssShmem:\t     7 kB\n";
        assert_eq!(parse_status(status), Memory { own: 1024 * 1024, shared: 7 * 1024 });
    }

    #[test]
    fn stat_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 1 0 5 1000 10";
        assert_eq!(parse_stat(stat), Some(42));
    }

    #[test]
    fn this_process_has_memory_and_is_its_own_descendant() {
        let pid = std::process::id();
        assert!(memory(&[pid]).bytes() > 100 * 1024);
        assert_eq!(descendants(pid)[0], pid);
    }
}
