//! Gateways, a Redis and, where the scenario publishes by HTTP, a publisher.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::process::{Process, bound};
use super::{Origin, Target, ports, redis};
use crate::clock::wait_until;
use crate::generator::protocol::Dialect;
use crate::publish::Way;
use crate::scenario::{Scenario, Via};

/// How long a service may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// More than any scenario opens, so that admission is governed by the rate alone.
const STREAMS_MAX: &str = "1000000";

/// Starts everything.
pub(super) fn start(scenario: &Scenario, origin: &Origin, folder: &Path) -> Result<Target> {
    let binary = origin.sluice.canonicalize().with_context(|| {
        format!(
            "there is no {}; build it (cargo build --release) or name another with --sluice",
            origin.sluice.display()
        )
    })?;
    let (redis, redis_address) = redis::start(folder)?;
    let redis_pid = redis.pid();
    let mut processes = vec![redis];
    let mut servers = Vec::new();
    for node in 0..scenario.nodes {
        let addresses = ports::free(2)?;
        let mut command = service(&binary, "gateway", redis_address, addresses[1])?;
        command
            .env("SLUICE_LISTEN__ADDR", addresses[0].to_string())
            .env("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", "**")
            .env("SLUICE_LIMITS__ACCEPT_PER_SECOND", scenario.accept_per_second.to_string())
            .env("SLUICE_LIMITS__STREAMS_MAX", STREAMS_MAX)
            .envs(&scenario.gateway_env);
        processes.push(Process::spawn(&format!("gateway-{node}"), command, folder, false)?);
        servers.push((addresses[0], addresses[1]));
    }
    for (process, (_, ops)) in processes[1..].iter_mut().zip(&servers) {
        wait_ready(process, *ops)?;
    }
    let server_pids = processes[1..].iter().map(Process::pid).collect();
    let publish = match scenario.publish_via {
        Via::Redis => Way::Redis(redis_address, origin.script.clone()),
        Via::Http => Way::Sluice(start_publisher(&binary, redis_address, folder, &mut processes)?),
    };
    Ok(Target {
        servers: servers.into_iter().map(|(address, _)| address).collect(),
        dialect: Dialect::Sluice,
        publish,
        redis: Some(redis_address),
        server_pids,
        redis_pid: Some(redis_pid),
        processes,
    })
}

fn start_publisher(
    binary: &Path,
    redis: SocketAddr,
    folder: &Path,
    processes: &mut Vec<Process>,
) -> Result<SocketAddr> {
    let addresses = ports::free(2)?;
    let mut command = service(binary, "publisher", redis, addresses[1])?;
    command
        .env("SLUICE_PUBLISHER__ADDR", addresses[0].to_string())
        .env("SLUICE_AUTH__ANONYMOUS__PUBLISH", "**");
    let mut process = Process::spawn("publisher", command, folder, false)?;
    wait_ready(&mut process, addresses[1])?;
    processes.push(process);
    Ok(addresses[0])
}

/// What gateway and publisher have in common.
fn service(binary: &Path, verb: &str, redis: SocketAddr, ops: SocketAddr) -> Result<Command> {
    let mut command = bound(binary)?;
    command
        .arg(verb)
        .env("SLUICE_OPS__ADDR", ops.to_string())
        .env("SLUICE_REDIS__URL", format!("redis://{redis}"));
    Ok(command)
}

/// Waits until `/readyz` says yes.
fn wait_ready(process: &mut Process, ops: SocketAddr) -> Result<()> {
    ports::wait_for(process, ops)?;
    let ready = wait_until(READY_WITHIN, Duration::from_millis(20), || is_ready(ops).unwrap_or(false));
    process.check_alive()?;
    ensure!(ready, "{} is not ready: {}", process.name(), process.last_words());
    Ok(())
}

fn is_ready(ops: SocketAddr) -> std::io::Result<bool> {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(ops)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
