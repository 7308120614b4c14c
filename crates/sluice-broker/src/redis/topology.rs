//! Where the servers are and how they are dialled: the one place that knows. Today one standalone Redis.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::BrokerUrl;

/// After this long without traffic the kernel asks the peer for a sign of life.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// How often it asks again.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// A peer that acknowledges nothing for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The servers that hold the topics. Its `Debug` masks the password.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    primary: ConnectionInfo,
}

impl Topology {
    pub(super) fn new(url: &BrokerUrl) -> Result<Self, String> {
        let primary = parse(url.exposed())?;
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY));
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(USER_TIMEOUT);
        let redis = primary.redis_settings().clone().set_lib_name("sluice", env!("CARGO_PKG_VERSION"));
        Ok(Self { primary: primary.set_tcp_settings(tcp).set_redis_settings(redis) })
    }

    /// How to dial for commands.
    pub(super) fn for_commands(&self) -> ConnectionInfo {
        self.speaking(ProtocolVersion::RESP2)
    }

    /// How to dial for announcements, which are pushes of RESP3.
    pub(super) fn for_announcements(&self) -> ConnectionInfo {
        self.speaking(ProtocolVersion::RESP3)
    }

    /// The command that announces on a live channel.
    pub(super) fn announce_command(&self) -> &'static str {
        "PUBLISH"
    }

    fn speaking(&self, protocol: ProtocolVersion) -> ConnectionInfo {
        let redis = self.primary.redis_settings().clone().set_protocol(protocol);
        self.primary.clone().set_redis_settings(redis)
    }
}

/// Why `url` cannot be dialled. Repeats nothing of it.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    parse(url).map(drop)
}

fn parse(url: &str) -> Result<ConnectionInfo, String> {
    url.into_connection_info().map_err(|error| match error.detail() {
        // A detail may quote what stood in the address.
        Some(_) => "it cannot be parsed".to_owned(),
        None => error.to_string(),
    })
}
