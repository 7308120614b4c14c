//! `[ops]`: the operations listener.

use std::net::SocketAddr;

use super::Role;
use super::listen::{address, default_addr};
use super::section::Section;

/// The listener for probes, metrics and the node's own description. Never public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ops {
    /// `ops.addr`: 0.0.0.0:8082; 127.0.0.1:8082 in `dev`.
    pub addr: SocketAddr,
    /// `ops.unready_on_redis_loss`: false. Whether a node that lost Redis says so in `/readyz`, so that the
    /// balancer leaves it; when all nodes lose it together, clients then meet the balancer's 503.
    pub unready_on_redis_loss: bool,
    /// `ops.hosts`: none. Names that requests may call this listener by, beside addresses, names without a dot and those
    /// of clusters and private networks.
    pub hosts: Vec<String>,
    /// `ops.profiling`: false. Whether `/v1/profile` answers.
    pub profiling: bool,
}

impl Ops {
    pub(super) fn default_for(role: Role) -> Self {
        let addr = default_addr(role, 8082);
        Self { addr, unready_on_redis_loss: false, hosts: Vec::new(), profiling: false }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        Self {
            addr: address(section, "addr", default.addr),
            unready_on_redis_loss: section.switch("unready_on_redis_loss", default.unready_on_redis_loss),
            hosts: section.list(
                "hosts",
                default.hosts.clone(),
                "must list names such as \"ops.example.com\"",
                host,
            ),
            profiling: section.switch("profiling", default.profiling),
        }
    }
}

/// A name as it is compared: in lower case, without a port.
fn host(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    match !text.is_empty() && text.len() <= 253 && text.chars().all(plain) {
        true => Ok(text.trim_end_matches('.').to_ascii_lowercase()),
        false => Err(format!("{text:?} is not the name of a host; leave out the scheme and the port")),
    }
}
