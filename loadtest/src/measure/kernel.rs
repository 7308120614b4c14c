//! Kernel memory for sockets, for the whole machine: a run reports how it grew. Both ends of each connection are
//! in it, because both are on this machine.

use std::fs;

use serde::{Deserialize, Serialize};

/// The slab caches that a stream's socket and its place in a poller live in.
const CACHES: [&str; 4] = ["TCP", "sock_inode_cache", "filp", "eventpoll_epi"];

/// Kernel memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kernel {
    /// TCP buffers (`mem` of `/proc/net/sockstat`).
    pub(crate) tcp_buffers: u64,
    /// All slabs (`/proc/meminfo`).
    pub(crate) slab: u64,
    /// The slab caches of sockets alone, where `/proc/slabinfo` may be read (root); else 0.
    pub(crate) socket_slabs: u64,
}

impl Kernel {
    /// How it stands now.
    pub(crate) fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            tcp_buffers: tcp_pages(&read("/proc/net/sockstat")) * rustix::param::page_size() as u64,
            slab: slab_kib(&read("/proc/meminfo")) * 1024,
            socket_slabs: socket_slabs(&read("/proc/slabinfo")),
        }
    }

    /// How much it grew since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            tcp_buffers: self.tcp_buffers.saturating_sub(earlier.tcp_buffers),
            slab: self.slab.saturating_sub(earlier.slab),
            socket_slabs: self.socket_slabs.saturating_sub(earlier.socket_slabs),
        }
    }
}

fn tcp_pages(sockstat: &str) -> u64 {
    let tcp = sockstat.lines().find_map(|line| line.strip_prefix("TCP:")).unwrap_or("");
    let mut words = tcp.split_ascii_whitespace().skip_while(|word| *word != "mem").skip(1);
    words.next().and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

fn slab_kib(meminfo: &str) -> u64 {
    let slab = meminfo.lines().find_map(|line| line.strip_prefix("Slab:")).unwrap_or("");
    slab.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Objects in use times their size.
fn socket_slabs(slabinfo: &str) -> u64 {
    let bytes = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next()?;
        let active: u64 = fields.next()?.parse().ok()?;
        let size: u64 = fields.nth(1)?.parse().ok()?;
        CACHES.contains(&name).then_some(active * size)
    };
    slabinfo.lines().filter_map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        assert_eq!(
            tcp_pages("sockets: used 15\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 199\nUDP: inuse 0 mem 0\n"),
            199
        );
        assert_eq!(slab_kib("MemTotal: 9 kB\nSlab:           123456 kB\n"), 123_456);
        let slabinfo = "# name <active_objs> <num_objs> <objsize>\nTCP 10 20 2368 13 8 : x\nfilp 5 6 192 1 1\nother 9 9 9 9 9\n";
        assert_eq!(socket_slabs(slabinfo), 10 * 2368 + 5 * 192);
    }

    #[test]
    fn what_may_not_be_read_counts_as_nothing() {
        assert_eq!((tcp_pages(""), slab_kib(""), socket_slabs("")), (0, 0, 0));
    }
}
