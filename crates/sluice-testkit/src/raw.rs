//! Bytes on a socket, for what no proper client sends: pipelined, half-closed, malformed or trickled requests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::connect;

const WITHIN: Duration = Duration::from_secs(10);

/// A TCP connection of which the test writes and reads every byte; each step has ten seconds.
pub struct RawConnection {
    stream: TcpStream,
    /// Received and not yet handed out.
    received: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: connect(address, None).await?, received: Vec::new() })
    }

    /// Connects with a receive buffer of about so many bytes: a reader that falls behind is felt soon.
    pub async fn connect_narrow(address: SocketAddr, receive_buffer: u32) -> Result<Self> {
        Ok(Self { stream: connect(address, Some(receive_buffer)).await?, received: Vec::new() })
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let sent = timeout(WITHIN, self.stream.write_all(bytes.as_ref())).await;
        sent.context("nobody took the bytes")?.context("sending")
    }

    /// Reads up to and with the first occurrence of `mark`; what came behind it stays for the next read.
    pub async fn read_until(&mut self, mark: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let mark = mark.as_ref();
        let mut searched = 0;
        loop {
            let found = self.received[searched..].windows(mark.len()).position(|window| window == mark);
            if let Some(offset) = found {
                let rest = self.received.split_off(searched + offset + mark.len());
                return Ok(std::mem::replace(&mut self.received, rest));
            }
            searched = self.received.len().saturating_sub(mark.len() - 1);
            if self.fill().await? == 0 {
                bail!("the end came before {:?}: {}", text(mark), text(&self.received));
            }
        }
    }

    /// Reads exactly so many bytes.
    pub async fn read_exact(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.received.len() < length {
            if self.fill().await? == 0 {
                bail!("the end came {} bytes early", length - self.received.len());
            }
        }
        let rest = self.received.split_off(length);
        Ok(std::mem::replace(&mut self.received, rest))
    }

    /// Reads until the peer ends the connection cleanly; a reset is an error.
    pub async fn read_to_end(&mut self) -> Result<Vec<u8>> {
        while self.fill().await? != 0 {}
        Ok(std::mem::take(&mut self.received))
    }

    /// Ends our side; the peer may still write.
    pub async fn half_close(&mut self) -> Result<()> {
        self.stream.shutdown().await.context("ending our side")
    }

    /// Ends both sides with a TCP reset.
    pub fn reset(self) -> Result<()> {
        self.stream.set_zero_linger().context("asking for a reset")
    }

    /// The socket itself, for what this type does not do; bytes already received are lost to it.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    async fn fill(&mut self) -> Result<usize> {
        let read = timeout(WITHIN, self.stream.read_buf(&mut self.received)).await;
        let so_far = || format!("nothing more came in {WITHIN:?} after: {}", text(&self.received));
        match read {
            Ok(read) => read.context("receiving"),
            Err(_) => bail!(so_far()),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 2_000;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}
