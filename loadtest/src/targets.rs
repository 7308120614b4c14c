//! What is measured: started from the tool's own configuration on free ports of the loopback, in a folder of its
//! own, and ended with the run. Or a server that is running already.

mod floor;
mod nchan;
mod ports;
pub(crate) mod process;
mod redis;
mod sluice;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use self::process::Process;
use crate::generator::protocol::Dialect;
use crate::measure;
use crate::publish::Way;
use crate::scenario::{Scenario, TargetName};

/// Where the parts of a target come from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Origin {
    /// The sluice binary to measure.
    #[arg(long, default_value = "target/release/sluice")]
    pub(crate) sluice: PathBuf,
    /// Publish by this script instead of the one that the tool was built with.
    #[arg(long)]
    pub(crate) script: Option<PathBuf>,
    /// A gateway that is running already (loopback only), e.g. 127.0.0.1:8080; may be given several times.
    #[arg(long, value_name = "ADDR")]
    pub(crate) url: Vec<String>,
    /// Its Redis (or, with `publish_via=http`, its publisher).
    #[arg(long, value_name = "ADDR", requires = "url")]
    pub(crate) publish_to: Option<String>,
    /// Its processes, for memory and processor time.
    #[arg(long, requires = "url")]
    pub(crate) pid: Vec<u32>,
}

/// A target that is ready for streams.
pub(crate) struct Target {
    /// Where streams connect.
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) dialect: Dialect,
    pub(crate) publish: Way,
    /// The Redis behind it, for its statistics.
    pub(crate) redis: Option<SocketAddr>,
    /// The processes that hold the streams.
    server_pids: Vec<u32>,
    redis_pid: Option<u32>,
    /// Ended on drop, the last started first.
    processes: Vec<Process>,
}

impl Target {
    /// Starts what the scenario measures, with its files in `folder`.
    pub(crate) fn start(
        name: TargetName,
        scenario: &Scenario,
        origin: &Origin,
        folder: &Path,
    ) -> Result<Self> {
        match name {
            TargetName::Sluice if !origin.url.is_empty() => running(scenario, origin),
            TargetName::Sluice => sluice::start(scenario, origin, folder),
            TargetName::Nchan => nchan::start(folder),
            TargetName::Floor => floor::start("single", folder),
            TargetName::FloorPasses => floor::start("joined", folder),
        }
    }

    /// The processes that hold the streams, with all their children.
    pub(crate) fn server_pids(&self) -> Vec<u32> {
        self.server_pids.iter().flat_map(|pid| measure::descendants(*pid)).collect()
    }

    /// The process of the Redis behind it.
    pub(crate) fn redis_pids(&self) -> Vec<u32> {
        self.redis_pid.into_iter().collect()
    }

    /// An error if one of the processes has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check_alive)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        while let Some(process) = self.processes.pop() {
            drop(process);
        }
    }
}

/// A target that somebody else started.
fn running(scenario: &Scenario, origin: &Origin) -> Result<Target> {
    let servers = origin.url.iter().map(|url| loopback(url)).collect::<Result<Vec<_>>>()?;
    let publish_to = origin.publish_to.as_deref().context("--url needs --publish-to")?;
    let publish_to = loopback(publish_to)?;
    let redis = (scenario.publish_via == crate::scenario::Via::Redis).then_some(publish_to);
    let publish = redis.map_or(Way::Sluice(publish_to), |redis| Way::Redis(redis, origin.script.clone()));
    Ok(Target {
        servers,
        dialect: Dialect::Sluice,
        publish,
        redis,
        server_pids: origin.pid.clone(),
        redis_pid: None,
        processes: Vec::new(),
    })
}

/// The address in `host:port`, with or without a scheme; refuses all but the loopback.
fn loopback(text: &str) -> Result<SocketAddr> {
    let bare = text.split_once("://").map_or(text, |(_, bare)| bare).trim_end_matches('/');
    let mut addresses =
        bare.to_socket_addrs().with_context(|| format!("{text:?} is no address; write host:port"))?;
    let address = addresses.next().with_context(|| format!("{text:?} has no address"))?;
    ensure!(
        address.ip().is_loopback(),
        "{text} is not on this machine; a load is only ever sent to the loopback"
    );
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_a_target() {
        assert_eq!(loopback("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert!(loopback("http://192.0.2.1:80").unwrap_err().to_string().contains("loopback"));
        assert!(loopback("127.0.0.1").is_err());
    }
}
