//! `sluice health`: asks the process of this configuration whether it is alive, as a container's health check
//! that needs nothing but the binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use sluice_runtime::config::Config;
use tokio_util::task::TaskTracker;

use super::http::{Client, Target, text};

const WITHIN: Duration = Duration::from_secs(3);

/// Asks `ops.addr` once and prints a line; the exit code is 0 for a 200 and 1 for anything else.
#[expect(clippy::print_stdout, reason = "printing is what this verb is for")]
pub(crate) async fn run(config: Config, ready: bool) -> anyhow::Result<ExitCode> {
    let (address, path) = (reachable(config.ops.addr), if ready { "/readyz" } else { "/livez" });
    let target: Target = format!("http://{address}").parse()?;
    let mut client = Client::new(target, TaskTracker::new());
    let response = match client.send(Request::get(path).body(Bytes::new())?, WITHIN).await {
        Ok(response) => response,
        Err(error) => {
            println!("{path}: {error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let status = response.status();
    let body = tokio::time::timeout(WITHIN, text(response.into_body())).await;
    let body = body.map_or_else(|_| String::new(), Result::unwrap_or_default);
    println!("{path} on {address}: {status} {}", body.lines().next().unwrap_or_default());
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where to find what listens on `addr`, which may be every address there is.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_by_the_local_one() {
        for (addr, expected) in
            [("0.0.0.0:8082", "127.0.0.1:8082"), ("[::]:8082", "[::1]:8082"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(addr.parse().unwrap()).to_string(), expected);
        }
    }
}
