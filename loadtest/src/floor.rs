//! The floor: the least that a server of event streams can do, measured beside the others so that every figure
//! has a lower bound from the same run. One thread, one edge-triggered poller, a slot of at most 48 bytes a
//! stream, no HTTP beyond a fixed head, one topic. Events come as lines over a control connection; each goes
//! to each stream with a `send` of its own, or (`Sending::Joined`) together with all else that the stream lacks.
//!
//! It can also be told to break its word (`Plant`), so that tests can see the generator notice.

mod log;
mod serve;

use std::io::Write as _;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How a stream's events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sending {
    /// One system call for each stream and event.
    Single,
    /// One system call for all that a stream lacks.
    Joined,
}

/// A fault for the first stream at its fifth event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plant {
    /// The event is left out.
    Loss,
    /// The event is sent twice.
    Repeat,
    /// The event is sent behind the next.
    Reorder,
}

/// The line that a floor prints when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where streams connect.
    pub(crate) streams: std::net::SocketAddr,
    /// Where the one publisher connects.
    pub(crate) control: std::net::SocketAddr,
}

/// Serves until standard input ends.
pub(crate) fn run(sending: Sending, plant: Option<Plant>) -> Result<()> {
    let mut server = serve::Server::bind(sending, plant)?;
    let mut line = serde_json::to_string(&server.ready()?)?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes())?;
    server.serve()
}
