//! What a public listener can be told. Plain values, as for the gateway.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use sluice_wire::cursor::Cursor;
use sluice_wire::{Network, forwarded};

use super::tls::Tls;

/// Settings of a public listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Whom it believes when they say who their client is, and how they say it.
    pub proxies: TrustedProxies,
    /// Whether they begin a connection with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// How long whatever comes before the first request may take.
    pub handshake_timeout: Duration,
    /// How long a request's head may take. A connection that is kept for another request may rest as long.
    pub header_read_timeout: Duration,
    /// The size of a request's head without its cursor. Bytes.
    pub header_bytes_max: usize,
    /// The number of fields of a request's head, `Last-Event-ID` not counted.
    pub header_count_max: usize,
    /// The length of the longest cursor that a client may bring back. Bytes.
    pub cursor_bytes_max: usize,
    /// Connections that hold no stream.
    pub connections_max: usize,
    /// The certificate to serve with; without one the listener speaks plain text.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is also spoken in plain text, to clients that know so beforehand.
    pub h2c: bool,
    /// Streams and requests that one HTTP/2 connection may have open at once.
    pub http2_streams_max: u32,
    /// A client that takes nothing of an answer for so long is given up.
    pub write_stall: Duration,
}

/// Whether a connection of a trusted proxy begins with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// Never: such a beginning is a malformed request.
    #[default]
    Off,
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// The field of a request in which trusted proxies name their clients. It is one, because a proxy passes the
/// other on as its client wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedField {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
    /// None.
    Off,
}

/// Proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// Where they say it.
    pub field: ForwardedField,
}

impl TrustedProxies {
    /// Whether `address` is one of them.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The client behind a request that came from `peer`: the last address of the chain that is not trusted.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |address| self.trust(address);
        let name = match self.field {
            ForwardedField::XForwardedFor => "x-forwarded-for",
            ForwardedField::Forwarded => "forwarded",
            ForwardedField::Off => return peer.to_canonical(),
        };
        // A value that is no text says as much as one that is not readable.
        let values: Vec<&str> = headers.get_all(name).iter().map(|v| v.to_str().unwrap_or("?")).collect();
        let values = values.into_iter();
        match self.field {
            ForwardedField::Forwarded => forwarded::client(peer, forwarded::forwarded(values), is_trusted),
            _ => forwarded::client(peer, forwarded::x_forwarded_for(values), is_trusted),
        }
    }
}

impl Default for ListenerSettings {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            proxies: TrustedProxies::default(),
            proxy_protocol: ProxyProtocol::Off,
            handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(10),
            header_bytes_max: 16 << 10,
            header_count_max: 100,
            cursor_bytes_max: Cursor::len_max(64),
            connections_max: 1_024,
            tls: None,
            h2c: false,
            http2_streams_max: 128,
            write_stall: Duration::from_secs(60),
        }
    }
}
