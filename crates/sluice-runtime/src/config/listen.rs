//! `[listen]`: the public listener.

use std::net::{Ipv4Addr, SocketAddr};

use super::Role;
use super::section::Section;

/// What an address looks like, for error messages.
pub(super) const ADDRESS: &str = "must be address:port, such as 0.0.0.0:8080 or [::]:8080";

/// The listener that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// `listen.addr`: 0.0.0.0:8080; 127.0.0.1:8080 in `dev`.
    pub addr: SocketAddr,
}

impl Listen {
    pub(super) fn default_for(role: Role) -> Self {
        Self { addr: default_addr(role, 8080) }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        Self { addr: section.parsed("addr", default.addr, ADDRESS) }
    }
}

/// Everywhere on a server, this machine only on a developer's.
pub(super) fn default_addr(role: Role, port: u16) -> SocketAddr {
    let ip = if role == Role::Dev { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    SocketAddr::from((ip, port))
}
