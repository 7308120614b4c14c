//! What the machine's limits mean for a node. Pure.

mod network;

use crate::doctor::finding::{Finding, grouped, size};

/// What the kernel keeps for one end of an idle connection; measured, see docs/performance.md.
const KERNEL_BYTES_A_STREAM: u64 = 5_000;
/// A node without streams, with room for handshakes.
const NODE_BYTES: u64 = 32 << 20;
/// Below this a node has room for no more streams than a test.
const DESCRIPTORS_FEW: u64 = 4_096;
/// Descriptors beside those of streams.
const DESCRIPTORS_KEPT: u64 = 256;

/// What was read; `None` where the kernel does not say.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Soft and hard limit of open descriptors.
    pub(super) descriptors: Option<(u64, u64)>,
    /// `fs.nr_open`: what a hard limit can be at most.
    pub(super) open_max: Option<u64>,
    /// `limits.streams_max` as configured, 0 for as many as descriptors allow.
    pub(super) streams_asked: u64,
    /// Streams that a node would take.
    pub(super) streams: u64,
    /// Connections that Sluice lets wait.
    pub(super) backlog: u64,
    pub(super) somaxconn: Option<u64>,
    /// Connections turned away at full queues since the network began.
    pub(super) overflows: Option<u64>,
    pub(super) ports: Option<[u64; 2]>,
    /// `tcp_mem`: low, pressure, most.
    pub(super) tcp_pages: Option<[u64; 3]>,
    pub(super) tcp_pages_used: Option<u64>,
    pub(super) page_bytes: u64,
    pub(super) tracked: Option<u64>,
    pub(super) tracked_max: Option<u64>,
    /// Bytes that the process may use: its control group's limit, else all there is.
    pub(super) memory: Option<u64>,
    /// `topics.windows_bytes_max` and `streams.catch_up_bytes_max`.
    pub(super) budgets_bytes: u64,
    pub(super) cpus: u64,
    /// CPUs that the control group grants.
    pub(super) quota: Option<f64>,
}

/// All judgements about a machine.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    [
        descriptors(facts),
        memory(facts),
        cpu(facts),
        network::listen_queue(facts),
        network::overflows(facts),
        network::ports(facts),
        network::tcp_memory(facts),
        network::tracking(facts),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn descriptors(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.descriptors";
    let (soft, hard) = facts.descriptors?;
    let seen =
        format!("{} open descriptors at most (soft {}, raised at start)", grouped(hard), grouped(soft));
    let open_max =
        facts.open_max.map_or(String::new(), |most| format!("; fs.nr_open allows {}", grouped(most)));
    let fix = format!(
        "systemd: LimitNOFILE=1048576; docker: --ulimit nofile=1048576:1048576; Kubernetes: the container \
         runtime's own unit{open_max}"
    );
    if facts.streams_asked > 0 && hard < facts.streams_asked + DESCRIPTORS_KEPT {
        let why = format!(
            "limits.streams_max promises {} streams, a descriptor each, and a node keeps {DESCRIPTORS_KEPT} for \
             other things: connections would be refused by the kernel instead of being shed",
            grouped(facts.streams_asked)
        );
        return Some(Finding::error(ID, seen).why(why).fix(fix));
    }
    if hard < DESCRIPTORS_FEW {
        let why = format!("a stream is a descriptor: this node takes {} streams", grouped(facts.streams));
        return Some(Finding::warning(ID, seen).why(why).fix(fix));
    }
    Some(Finding::ok(ID, format!("{seen}: {} streams", grouped(facts.streams))))
}

fn memory(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.memory";
    let memory = facts.memory?;
    let fixed = NODE_BYTES + facts.budgets_bytes;
    let need = fixed.saturating_add(facts.streams.saturating_mul(KERNEL_BYTES_A_STREAM));
    let seen = format!(
        "{} for {} streams: {} of the node's own, the rest the kernel's sockets, need {}",
        size(memory),
        grouped(facts.streams),
        size(fixed),
        size(need)
    );
    if need <= memory {
        return Some(Finding::ok(ID, seen));
    }
    let fits = memory.saturating_sub(fixed) / KERNEL_BYTES_A_STREAM;
    let why = "socket memory counts against the limit: the kernel would kill the node, and with it every stream, \
               before it sheds the first";
    let fix = format!("limits.streams_max = {fits} at most, or {} of memory", size(need));
    Some(Finding::warning(ID, seen).why(why).fix(fix))
}

fn cpu(facts: &Facts) -> Option<Finding> {
    const ID: &str = "machine.cpu";
    let Some(quota) = facts.quota else {
        return Some(Finding::ok(ID, format!("{} CPUs, no quota", facts.cpus)));
    };
    let seen = format!("{} CPUs, a quota of {quota:.2}", facts.cpus);
    if quota >= 1.0 && quota.fract() == 0.0 {
        return Some(Finding::ok(ID, seen));
    }
    let why = "a burst that uses its quota up is stopped until the next period, for up to 100 ms: every stream \
               waits";
    let fix = "grant whole CPUs, or a request without a limit (Kubernetes: resources.requests.cpu alone)";
    let finding = if quota < 1.0 { Finding::warning(ID, seen) } else { Finding::note(ID, seen) };
    Some(finding.why(why).fix(fix))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    pub(in crate::doctor::machine) fn healthy() -> Facts {
        Facts {
            descriptors: Some((1_024, 1_048_576)),
            open_max: Some(1_048_576),
            streams_asked: 60_000,
            streams: 60_000,
            backlog: 4_096,
            somaxconn: Some(4_096),
            overflows: Some(0),
            ports: Some([1_024, 65_535]),
            tcp_pages: Some([190_000, 250_000, 380_000]),
            tcp_pages_used: Some(100),
            page_bytes: 4_096,
            tracked: Some(0),
            tracked_max: Some(262_144),
            memory: Some(4 << 30),
            budgets_bytes: 64 << 20,
            cpus: 4,
            quota: None,
        }
    }

    fn level(finding: Option<Finding>) -> Level {
        finding.unwrap().level
    }

    #[test]
    fn a_healthy_machine_is_all_right() {
        let findings = all(&healthy());
        assert_eq!(findings.len(), 8);
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    }

    #[test]
    fn every_stream_needs_a_descriptor() {
        let with = |hard, streams_asked| Facts { descriptors: Some((64, hard)), streams_asked, ..healthy() };
        assert_eq!(level(descriptors(&with(100_256, 100_000))), Level::Ok);
        assert_eq!(level(descriptors(&with(100_255, 100_000))), Level::Error);
        assert_eq!(level(descriptors(&with(1_024, 0))), Level::Warning);
        assert_eq!(level(descriptors(&with(20_000, 0))), Level::Ok);
    }

    #[test]
    fn sockets_count_as_memory() {
        let small = Facts { memory: Some(256 << 20), ..healthy() };
        let finding = memory(&small).unwrap();
        assert_eq!(finding.level, Level::Warning);
        let fits = Facts { streams: 33_500, ..small };
        assert!(finding.fix.contains("streams_max = 33554"), "{}", finding.fix);
        assert_eq!(level(memory(&fits)), Level::Ok);
    }

    #[test]
    fn parts_of_a_cpu_are_told() {
        let with = |quota| Facts { quota: Some(quota), ..healthy() };
        assert_eq!(level(cpu(&with(2.0))), Level::Ok);
        assert_eq!(level(cpu(&with(1.5))), Level::Note);
        assert_eq!(level(cpu(&with(0.5))), Level::Warning);
    }
}
