//! The tool's own bare server, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Target;
use super::process::{Process, own};
use crate::floor::Ready;
use crate::generator::protocol::Dialect;
use crate::publish::Way;

/// For tests of the tool itself: a fault that the floor is to plant (`loss`, `repeat`, `reorder`).
const PLANT: &str = "LOADTEST_FLOOR_PLANT";

/// Starts it, sending `single` or `joined`.
pub(super) fn start(sending: &str, folder: &Path) -> Result<Target> {
    let mut command = own(&["floor-server", "--sending", sending])?;
    if let Some(plant) = std::env::var_os(PLANT) {
        command.arg("--plant").arg(plant);
    }
    let mut process = Process::spawn("floor", command, folder, true)?;
    let (stdin, stdout) = process.pipes()?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: Ready =
        serde_json::from_str(&line).with_context(|| format!("the floor: {}", process.last_words()))?;
    Ok(Target {
        servers: vec![ready.streams],
        dialect: Dialect::Floor,
        publish: Way::Floor(ready.control),
        redis: None,
        server_pids: vec![process.pid()],
        redis_pid: None,
        processes: vec![process.with_stdin(stdin)],
    })
}
