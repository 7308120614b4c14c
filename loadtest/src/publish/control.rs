//! The floor's control connection: a line an event, no answers.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result};

use super::Outgoing;

/// The connection, and how many events went over it.
pub(super) struct Control {
    socket: TcpStream,
    sent: u64,
    text: Vec<u8>,
}

impl Control {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).context("cannot reach the floor")?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, sent: 0, text: Vec::new() })
    }

    /// Sends a batch. The floor numbers events in the order in which they come, so their ids are known.
    pub(super) fn publish(&mut self, events: &[Outgoing<'_>]) -> Result<Vec<String>> {
        self.text.clear();
        for event in events {
            self.text.extend_from_slice(event.data);
            self.text.push(b'\n');
        }
        self.socket.write_all(&self.text).context("the floor takes no events")?;
        let first = self.sent;
        self.sent += events.len() as u64;
        Ok((first..self.sent).map(|index| format!("{}-0", index + 1)).collect())
    }
}
