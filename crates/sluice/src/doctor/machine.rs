//! This machine, or the container: what the kernel grants this process. Read from `/proc` and the control
//! groups; what cannot be read there is not judged.

mod judge;
mod parse;

use std::fs;
use std::path::Path;

use sluice_runtime::config::Config;
use sluice_runtime::{cgroup, memory};

use super::finding::Finding;
use crate::settings::streams_max;
use judge::Facts;

/// Looks at the machine.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    judge::all(&gather(config, Path::new("/")))
}

fn gather(config: &Config, root: &Path) -> Facts {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let number = |path: &str| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let numbers = |path: &str| read(path).map(|text| parse::numbers(&text)).unwrap_or_default();
    let descriptors = read("proc/self/limits").and_then(|text| parse::open_files(&text));
    let hard = descriptors.map_or(1_024, |(_, hard)| hard);
    let netstat = read("proc/net/netstat").unwrap_or_default();
    let page = fs::read(root.join("proc/self/auxv")).ok().and_then(|auxv| parse::page_size(&auxv));
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let in_group = |controller: &str, file: &str| {
        cgroup::directories(&groups, controller)
            .into_iter()
            .find_map(|directory| read(&format!("sys/fs/cgroup/{directory}/{file}")))
    };
    let quota = in_group("cpu", "cpu.max").and_then(|text| parse::quota(&text)).or_else(|| {
        let (quota, period) = (in_group("cpu", "cpu.cfs_quota_us")?, in_group("cpu", "cpu.cfs_period_us")?);
        parse::quota(&format!("{} {}", quota.trim(), period.trim()))
    });
    Facts {
        descriptors,
        open_max: number("proc/sys/fs/nr_open"),
        streams_asked: config.limits.streams_max as u64,
        streams: streams_max(config.limits.streams_max, config.listen.connections_max, hard) as u64,
        backlog: crate::node::BACKLOG.into(),
        somaxconn: number("proc/sys/net/core/somaxconn"),
        overflows: parse::counter(&netstat, "ListenOverflows"),
        ports: <[u64; 2]>::try_from(numbers("proc/sys/net/ipv4/ip_local_port_range")).ok(),
        tcp_pages: <[u64; 3]>::try_from(numbers("proc/sys/net/ipv4/tcp_mem")).ok(),
        tcp_pages_used: read("proc/net/sockstat").and_then(|text| parse::tcp_pages(&text)),
        page_bytes: page.unwrap_or(4_096),
        tracked: number("proc/sys/net/netfilter/nf_conntrack_count"),
        tracked_max: number("proc/sys/net/netfilter/nf_conntrack_max"),
        memory: memory_limit(config, root),
        budgets_bytes: (config.topics.windows_bytes_max + config.streams.catch_up_bytes_max) as u64,
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64,
        quota,
    }
}

fn memory_limit(config: &Config, root: &Path) -> Option<u64> {
    let configured = config.limits.memory_bytes as u64;
    if configured > 0 { Some(configured) } else { memory::limit(root).map(|limit| limit.bytes) }
}

#[cfg(test)]
mod tests {
    use sluice_runtime::config::{Layers, Role};

    use super::*;

    #[test]
    fn a_container_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "proc/self/limits",
            "Max open files            1024                 4096                 files\n",
        );
        put("proc/self/cgroup", "0::/kubepods/pod1\n");
        put("sys/fs/cgroup/kubepods/pod1/memory.max", "536870912\n");
        put("sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n");
        put("proc/meminfo", "MemTotal:        8000000 kB\n");
        put("proc/sys/net/core/somaxconn", "128\n");
        put("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
        let config = Config::load(Role::Gateway, &Layers::default()).unwrap();
        let facts = gather(&config, root.path());
        // A sixteenth is for connections that hold no stream, 192 descriptors for all the rest.
        assert_eq!((facts.descriptors, facts.streams), (Some((1_024, 4_096)), 3_648));
        assert_eq!((facts.memory, facts.quota, facts.somaxconn), (Some(512 << 20), Some(1.5), Some(128)));
        assert_eq!((facts.ports, facts.tcp_pages), (Some([32_768, 60_999]), None));
        // What is not there is not judged, and nothing panics over it.
        judge::all(&gather(&config, Path::new("/nowhere")));
    }
}
