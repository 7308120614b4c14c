//! A Redis that keeps nothing on disk.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::ports;
use super::process::{Process, bound};

/// Starts it; returns where it listens.
pub(super) fn start(folder: &Path) -> Result<(Process, SocketAddr)> {
    let address = ports::free(1)?[0];
    let mut command = bound("redis-server")?;
    command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        &address.port().to_string(),
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    command.arg("--dir").arg(folder);
    let mut process = Process::spawn("redis", command, folder, false)?;
    ports::wait_for(&mut process, address)?;
    Ok((process, address))
}
