//! What the kernel's network settings mean for a node. Pure.

use super::Facts;
use crate::doctor::finding::{Finding, grouped, size};

/// Below this a storm of reconnects fills the queue between two looks at the listener.
const QUEUE_LEN_LOW: u64 = 1_024;
/// What a socket with something unsent holds at least.
const BUFFER_BYTES_LOW: u64 = 4_096;

pub(super) fn listen_queue(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.listen-queue";
    let most = facts.somaxconn?;
    let seen = format!("{} connections may wait to be accepted", grouped(most.min(facts.backlog)));
    if most >= QUEUE_LEN_LOW {
        return Some(Finding::ok(ID, seen));
    }
    let why = "when clients reconnect together, those that find the queue full are turned away without a word and \
               try again after one, three, seven seconds";
    let fix =
        format!("sysctl -w net.core.somaxconn={} (in the container's own network namespace)", facts.backlog);
    Some(Finding::warning(ID, seen).why(why).fix(fix))
}

pub(super) fn overflows(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.listen-overflows";
    let overflows = facts.overflows?;
    let seen =
        format!("{} connections found a listen queue full since this network began", grouped(overflows));
    if overflows == 0 {
        return Some(Finding::ok(ID, seen));
    }
    let why =
        "the counter is of all listeners and never falls: what matters is whether it rises during a storm";
    let fix = "nstat -az TcpExtListenOverflows before and after; if it rises: net.core.somaxconn, more CPU, more nodes";
    Some(Finding::note(ID, seen).why(why).fix(fix))
}

pub(super) fn ports(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.ports";
    let [first, last] = facts.ports?;
    let count = (last + 1).saturating_sub(first);
    let seen = format!("{} local ports ({first} to {last})", grouped(count));
    if facts.streams <= count {
        return Some(Finding::ok(ID, seen));
    }
    let why = format!(
        "not this node's concern but its proxy's: each address of a proxy with such a range reaches one listener with \
         {} streams at most, and this node would take {}",
        grouped(count),
        grouped(facts.streams)
    );
    let fix =
        "on the proxy: sysctl -w net.ipv4.ip_local_port_range='1024 65535', or several addresses of its own";
    Some(Finding::note(ID, seen).why(why).fix(fix))
}

pub(super) fn tcp_memory(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.tcp-memory";
    let ([_, pressure, most], used) = (facts.tcp_pages?, facts.tcp_pages_used?);
    let bytes = |pages: u64| pages.saturating_mul(facts.page_bytes);
    let seen = format!("{} of at most {} in TCP buffers", size(bytes(used)), size(bytes(most)));
    let why = "idle streams hold nothing there; what is sent and not yet acknowledged does, and above the limit the \
               kernel drops and delays for every connection of the machine";
    let fix = "sysctl net.ipv4.tcp_mem (in pages), or smaller buffers: net.ipv4.tcp_wmem='4096 16384 262144'";
    let finding = if used >= most {
        Finding::error(ID, seen)
    } else if used >= pressure {
        Finding::warning(ID, seen)
    } else if bytes(most) / facts.streams.max(1) < BUFFER_BYTES_LOW {
        Finding::note(ID, format!("{seen}: less than {BUFFER_BYTES_LOW} bytes a stream"))
    } else {
        return Some(Finding::ok(ID, seen));
    };
    Some(finding.why(why).fix(fix))
}

pub(super) fn tracking(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.connection-tracking";
    let (Some(count), Some(most)) = (facts.tracked, facts.tracked_max) else {
        return Some(Finding::ok(ID, "connections are not tracked here"));
    };
    let seen = format!("{} of {} connections tracked", grouped(count), grouped(most));
    // Entries of closed connections linger for two minutes.
    let need = facts.streams.saturating_mul(3) / 2;
    let why = "when the table is full the kernel drops new connections without a word; every stream that passes a NAT \
               or a firewall rule of this machine is an entry";
    let fix = format!(
        "sysctl -w net.netfilter.nf_conntrack_max={} (about 320 bytes each), or exempt the port: iptables -t raw -A \
         PREROUTING -p tcp --dport 8080 -j NOTRACK",
        need.max(most).next_power_of_two()
    );
    if count.saturating_mul(5) > most.saturating_mul(4) {
        return Some(Finding::warning(ID, seen).why(why).fix(fix));
    }
    if count > 0 && most < need {
        let seen = format!("{seen}, {} streams expected", grouped(facts.streams));
        return Some(Finding::note(ID, seen).why(why).fix(fix));
    }
    Some(Finding::ok(ID, seen))
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::*;
    use crate::doctor::finding::Level;

    fn level(finding: Option<Finding>) -> Level {
        finding.unwrap().level
    }

    #[test]
    fn a_short_queue_is_told_and_the_shorter_of_two_counts() {
        let short = listen_queue(&Facts { somaxconn: Some(128), ..healthy() }).unwrap();
        assert_eq!(short.level, Level::Warning);
        assert!(short.seen.starts_with("128 "), "{}", short.seen);
        let long = listen_queue(&Facts { somaxconn: Some(65_535), ..healthy() }).unwrap();
        assert!(long.level == Level::Ok && long.seen.starts_with("4,096 "), "{}", long.seen);
        assert!(listen_queue(&Facts { somaxconn: None, ..healthy() }).is_none());
    }

    #[test]
    fn past_overflows_are_worth_knowing_and_no_more() {
        assert_eq!(level(overflows(&Facts { overflows: Some(1), ..healthy() })), Level::Note);
    }

    #[test]
    fn a_proxy_has_so_many_ports() {
        let narrow = Facts { ports: Some([32_768, 60_999]), ..healthy() };
        let finding = ports(&narrow).unwrap();
        assert_eq!(finding.level, Level::Note);
        assert!(finding.seen.contains("28,232"), "{}", finding.seen);
        assert_eq!(level(ports(&Facts { streams: 28_232, ..narrow })), Level::Ok);
    }

    #[test]
    fn tcp_memory_is_judged_by_its_own_thresholds() {
        let with = |used| Facts { tcp_pages_used: Some(used), ..healthy() };
        assert_eq!(level(tcp_memory(&with(249_999))), Level::Ok);
        assert_eq!(level(tcp_memory(&with(250_000))), Level::Warning);
        assert_eq!(level(tcp_memory(&with(380_000))), Level::Error);
        let many = Facts { streams: 1_000_000, ..healthy() };
        assert_eq!(level(tcp_memory(&many)), Level::Note);
        // The same number of pages of 64 KiB is enough.
        assert_eq!(level(tcp_memory(&Facts { page_bytes: 65_536, ..many })), Level::Ok);
    }

    #[test]
    fn a_table_that_fills_up_is_told() {
        let with = |count, most| Facts { tracked: Some(count), tracked_max: Some(most), ..healthy() };
        assert_eq!(level(tracking(&with(81, 100))), Level::Warning);
        assert_eq!(level(tracking(&with(10, 89_999))), Level::Note);
        assert_eq!(level(tracking(&with(10, 90_000))), Level::Ok);
        assert_eq!(level(tracking(&with(0, 100))), Level::Ok);
        assert_eq!(level(tracking(&Facts { tracked: None, ..healthy() })), Level::Ok);
    }
}
