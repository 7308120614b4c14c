//! How much memory the process may use, how much it does, and whether that is too much. What cannot be read is
//! not judged.

use std::fs;
use std::path::Path;

use crate::cgroup;

/// How far below the mark memory must fall before it is no longer short. Percent of the mark.
const BELOW_PERCENT: u64 = 95;

/// How much memory the process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub bytes: u64,
    /// Who says so.
    pub source: LimitSource,
}

/// Who limits the memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    /// Its configuration.
    Configured,
    /// Its control group.
    ControlGroup,
    /// What the machine has.
    Machine,
}

impl LimitSource {
    /// As logs say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "limits.memory_bytes",
            Self::ControlGroup => "control group",
            Self::Machine => "machine",
        }
    }
}

/// The limit that holds for this process: the least of its control groups', else what the machine has. `root` is
/// where the file systems of the kernel are mounted.
#[must_use]
pub fn limit(root: &Path) -> Option<MemoryLimit> {
    let machine = read(root, "proc/meminfo").and_then(|text| kib(&text, "MemTotal:"));
    let group = group_limit(root).filter(|bytes| machine.is_none_or(|machine| *bytes < machine));
    let limit = |source| move |bytes| MemoryLimit { bytes, source };
    group.map(limit(LimitSource::ControlGroup)).or(machine.map(limit(LimitSource::Machine)))
}

/// What the process uses of `limit`: its resident set and, where a control group limits it, what the kernel
/// holds for that group. Sockets are most of that, and no part of any process.
#[must_use]
pub fn used(root: &Path, limit: MemoryLimit) -> Option<u64> {
    let resident = read(root, "proc/self/status").and_then(|text| kib(&text, "VmRSS:"))?;
    let kernel = (limit.source == LimitSource::ControlGroup).then(|| kernel_bytes(root)).flatten();
    Some(resident + kernel.unwrap_or(0))
}

fn group_limit(root: &Path) -> Option<u64> {
    let groups = read(root, "proc/self/cgroup")?;
    let directories = cgroup::directories(&groups, "memory");
    // A group is bound by the limits of those around it.
    let around = directories.iter().flat_map(|directory| Path::new(directory).ancestors());
    around
        .filter_map(|directory| {
            let of = |file| read(root, Path::new("sys/fs/cgroup").join(directory).join(file));
            of("memory.max").or_else(|| of("memory.limit_in_bytes"))?.trim().parse().ok()
        })
        .min()
}

fn kernel_bytes(root: &Path) -> Option<u64> {
    let groups = read(root, "proc/self/cgroup")?;
    cgroup::directories(&groups, "memory").into_iter().find_map(|directory| {
        let of = |file| read(root, Path::new("sys/fs/cgroup").join(&directory).join(file));
        if let Some(stat) = of("memory.stat").filter(|stat| figure(stat, "sock").is_some()) {
            let held = ["sock", "slab_unreclaimable", "kernel_stack", "pagetables"];
            return Some(held.into_iter().filter_map(|name| figure(&stat, name)).sum());
        }
        let bytes = |file| of(file).and_then(|text| text.trim().parse::<u64>().ok());
        Some(bytes("memory.kmem.usage_in_bytes")? + bytes("memory.kmem.tcp.usage_in_bytes").unwrap_or(0))
    })
}

fn read(root: &Path, path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

/// A figure of `memory.stat`.
fn figure(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

/// A figure in kibibytes, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Whether memory is short: from above a mark on, until it has fallen well below it. Pure.
#[derive(Debug, Clone, Copy)]
pub struct MemoryGuard {
    mark: u64,
    short: bool,
}

impl MemoryGuard {
    /// Memory is short above `percent` of `limit`.
    #[must_use]
    pub fn new(limit: MemoryLimit, percent: u8) -> Self {
        Self { mark: limit.bytes / 100 * u64::from(percent.min(100)), short: false }
    }

    /// Above how many bytes memory is short.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Whether memory is short now that so many bytes are used.
    pub fn judge(&mut self, used: u64) -> bool {
        let below = self.mark / 100 * BELOW_PERCENT;
        self.short = used > if self.short { below } else { self.mark };
        self.short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\n");
    const STATUS: (&str, &str) = ("proc/self/status", "Name:\tsluice\nVmRSS:\t    7000 kB\n");

    #[test]
    fn the_least_of_the_groups_around_is_the_limit_and_sockets_count() {
        let root = root(&[
            MEMINFO,
            STATUS,
            ("proc/self/cgroup", "0::/pods/pod1/c\n"),
            ("sys/fs/cgroup/pods/pod1/c/memory.max", "max\n"),
            (
                "sys/fs/cgroup/pods/pod1/c/memory.stat",
                "anon 5\nsock 1000\nsock_x 7\nslab_unreclaimable 200\n",
            ),
            ("sys/fs/cgroup/pods/pod1/memory.max", "536870912\n"),
            ("sys/fs/cgroup/pods/memory.max", "1073741824\n"),
        ]);
        let limit = limit(root.path()).unwrap();
        assert_eq!(limit, MemoryLimit { bytes: 512 << 20, source: LimitSource::ControlGroup });
        assert_eq!(used(root.path(), limit), Some((7_000 << 10) + 1_200));
        let configured = MemoryLimit { source: LimitSource::Configured, ..limit };
        assert_eq!(used(root.path(), configured), Some(7_000 << 10));
    }

    #[test]
    fn groups_of_the_first_version_are_read_and_no_limit_is_the_machines() {
        let old = [
            MEMINFO,
            STATUS,
            ("proc/self/cgroup", "4:memory:/docker/x\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "67108864\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.kmem.usage_in_bytes", "4096\n"),
        ];
        let limited = root(&old);
        let found = limit(limited.path()).unwrap();
        assert_eq!((found.bytes, found.source), (64 << 20, LimitSource::ControlGroup));
        assert_eq!(used(limited.path(), found), Some((7_000 << 10) + 4_096));
        let unlimited = root(&[
            MEMINFO,
            STATUS,
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let machine = MemoryLimit { bytes: 8_000_000 << 10, source: LimitSource::Machine };
        assert_eq!(limit(unlimited.path()), Some(machine));
        assert_eq!(limit(Path::new("/nowhere")), None);
    }

    #[test]
    fn memory_that_was_short_must_fall_well_below_the_mark() {
        let limit = MemoryLimit { bytes: 1_000, source: LimitSource::Configured };
        let mut guard = MemoryGuard::new(limit, 90);
        let said: Vec<bool> = [900, 901, 900, 856, 855, 900, 901].map(|used| guard.judge(used)).to_vec();
        assert_eq!(said, [false, true, true, true, false, false, true]);
    }
}
