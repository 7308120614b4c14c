//! `[listen]`: the public listener.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use sluice_wire::{Network, NetworkError};

use super::Role;
use super::section::Section;

/// What an address looks like, for error messages.
const ADDRESS: &str = "must be address:port, such as 127.0.0.1:8080 or [::]:8080; localhost:8080 is this machine only, and \
                       :8080 every IPv4 address of it";

/// The listener that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// `listen.addr`: 0.0.0.0:8080; 127.0.0.1:8080 in `dev`.
    pub addr: SocketAddr,
    /// `listen.trusted_proxies`: none. Who is believed about whose request it forwards.
    pub trusted_proxies: Vec<Network>,
    /// `listen.client_address`: `x-forwarded-for`. The field in which they say it.
    pub client_address: ClientAddressField,
    /// `listen.proxy_protocol`: `off`. Whether their connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// `listen.handshake_timeout_ms`: 10,000 for what comes before the first request.
    pub handshake_timeout: Duration,
    /// `listen.connections_max`: 0. Connections that hold no stream; 0 for a share of the descriptors.
    pub connections_max: usize,
    /// `listen.h2c`: false. Whether HTTP/2 is spoken in plain text, to those who know beforehand.
    pub h2c: bool,
    /// `listen.http2_streams_max`: 128 streams and requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
}

/// The field of a request that names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddressField {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded`, of RFC 7239
    Forwarded,
    /// None.
    Off,
}

/// Whether a trusted proxy begins its connections with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Never.
    Off,
    /// It may.
    Optional,
    /// It must.
    Required,
}

impl Listen {
    pub(super) fn default_for(role: Role) -> Self {
        Self {
            addr: default_addr(role, 8080),
            trusted_proxies: Vec::new(),
            client_address: ClientAddressField::XForwardedFor,
            proxy_protocol: ProxyProtocol::Off,
            handshake_timeout: Duration::from_secs(10),
            connections_max: 0,
            h2c: false,
            http2_streams_max: 128,
        }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let networks = "must list networks such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
        let network = |text: &str| text.parse().map_err(|error: NetworkError| format!("{text:?}: {error}"));
        let fields = [
            ("x-forwarded-for", ClientAddressField::XForwardedFor),
            ("forwarded", ClientAddressField::Forwarded),
            ("off", ClientAddressField::Off),
        ];
        let headers = [
            ("off", ProxyProtocol::Off),
            ("optional", ProxyProtocol::Optional),
            ("required", ProxyProtocol::Required),
        ];
        Self {
            addr: address(section, "addr", default.addr),
            trusted_proxies: section.list(
                "trusted_proxies",
                default.trusted_proxies.clone(),
                networks,
                network,
            ),
            client_address: section.choice("client_address", default.client_address, &fields),
            proxy_protocol: section.choice("proxy_protocol", default.proxy_protocol, &headers),
            handshake_timeout: section.millis(
                "handshake_timeout_ms",
                default.handshake_timeout,
                100..=300_000,
            ),
            connections_max: section.integer("connections_max", default.connections_max, 0..=1_000_000),
            h2c: section.switch("h2c", default.h2c),
            http2_streams_max: section.integer("http2_streams_max", default.http2_streams_max, 1..=10_000),
        }
    }
}

/// Reads a key that holds an address to listen on.
pub(super) fn address(section: &mut Section<'_>, key: &str, default: SocketAddr) -> SocketAddr {
    section.parsed::<Address>(key, Address(default), ADDRESS).0
}

/// An address to listen on. Names are not looked up, but for `localhost`, which is 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let port = |text: &str| text.parse::<u16>().map_err(|_| String::new());
        match text.rsplit_once(':') {
            Some(("", after)) => Ok(Self((Ipv4Addr::UNSPECIFIED, port(after)?).into())),
            Some((host, after)) if host.eq_ignore_ascii_case("localhost") => {
                Ok(Self((Ipv4Addr::LOCALHOST, port(after)?).into()))
            }
            _ => Err(String::new()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everywhere on a server, this machine only on a developer's.
pub(super) fn default_addr(role: Role, port: u16) -> SocketAddr {
    let ip = if role == Role::Dev { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    SocketAddr::from((ip, port))
}
