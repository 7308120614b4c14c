//! An approach's outlet onto a socket: it takes what the socket takes and knows where that leaves the client.

use std::io;
use std::time::{Duration, Instant};

use sluice_fanout::{End, Framing, LastWords, RingFrame};
use sluice_wire::EventId;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::admission::Standing;
use crate::approach::{Halt, Outlet};
use crate::control;

/// See the module.
pub(super) struct ToSocket {
    pub(super) socket: TcpStream,
    pub(super) framing: Framing,
    /// Whose the stream is.
    pub(super) standing: Standing,
    /// When what it was let in by is good no more: it is then given nothing but its last words.
    pub(super) expires: Option<Instant>,
    /// A client that takes nothing for so long is given up.
    pub(super) stall: Duration,
    /// Where the client stands, once frames say how they move it.
    pub(super) positions: Option<Vec<EventId>>,
    /// What is left of a frame that the socket took in part.
    pub(super) rest: Option<(RingFrame, u32)>,
}

impl ToSocket {
    /// Writes all of `bytes`, waiting as long as the client takes some now and then.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let written = tokio::time::timeout(self.stall, self.socket.write_all(bytes)).await;
        written.ok().and_then(Result::ok).ok_or(Halt::Gone)
    }

    /// Ends the stream with its sentence, which is written where a frame ends.
    pub(super) async fn say_last_words(&mut self, retry: Duration) -> Option<&'static str> {
        let LastWords { reason, frame } = match self.standing.sentence() {
            Some(sentence) => LastWords { reason: sentence.reason, frame: sentence.frame(retry) },
            None if self.has_expired() => control::last_words(End::Expiry, retry),
            None => return None,
        };
        let words = match self.framing {
            Framing::Chunked => [frame.chunk(), b"0\r\n\r\n".as_slice()].concat(),
            Framing::Raw => frame.payload_bytes().to_vec(),
        };
        self.write_all(&words).await.ok()?;
        let _ = self.socket.shutdown().await;
        Some(reason)
    }

    fn has_expired(&self) -> bool {
        self.expires.is_some_and(|expires| Instant::now() >= expires)
    }

    /// Offers bytes without waiting; how many were taken.
    fn offer(&self, bytes: &[u8]) -> Result<usize, Halt> {
        // Not tokio's `try_write`: that believes a socket full until its driver has said otherwise.
        let socket = socket2::SockRef::from(&self.socket);
        let mut taken = 0;
        while taken < bytes.len() {
            match socket.send(&bytes[taken..]) {
                Ok(0) => return Err(Halt::Gone),
                Ok(more) => taken += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Halt::Gone),
            }
        }
        Ok(taken)
    }

    /// Notes how far `taken` bytes of `frames` bring the client. Whether that is all of them.
    fn note(&mut self, frames: Vec<RingFrame>, mut taken: usize) -> bool {
        for frame in frames {
            if taken == 0 {
                return false;
            }
            if let (Some(step), Some(positions)) = (frame.step(), &mut self.positions) {
                positions[usize::from(step.index)] = step.to;
            }
            let len = frame.len(self.framing);
            if taken < len {
                self.rest = Some((frame, u32::try_from(taken).unwrap_or(u32::MAX)));
                return false;
            }
            taken -= len;
        }
        true
    }

    /// Writes what was left of a frame; whether nothing is left now.
    pub(super) fn write_rest(&mut self) -> Result<bool, Halt> {
        let Some((frame, offset)) = self.rest.take() else { return Ok(true) };
        let mut bytes = Vec::new();
        frame.copy_from(self.framing, offset as usize, &mut bytes);
        let taken = self.offer(&bytes)?;
        if taken < bytes.len() {
            self.rest = Some((frame, offset + u32::try_from(taken).unwrap_or(u32::MAX)));
        }
        Ok(self.rest.is_none())
    }
}

impl Outlet for ToSocket {
    const PAGE_BYTES: usize = 256 << 10;

    /// What the socket does not take ends the turn, so there is nothing to wait for.
    async fn ready(&mut self) -> Result<(), Halt> {
        Ok(())
    }

    async fn write(&mut self, frames: Vec<RingFrame>) -> Result<(), Halt> {
        if self.standing.is_sentenced() || self.has_expired() {
            return Err(Halt::Sentenced);
        }
        let mut bytes = Vec::with_capacity(frames.iter().map(|frame| frame.len(self.framing)).sum());
        frames.iter().for_each(|frame| frame.copy_from(self.framing, 0, &mut bytes));
        if self.positions.is_none() {
            return self.write_all(&bytes).await;
        }
        let taken = self.offer(&bytes)?;
        if self.note(frames, taken) { Ok(()) } else { Err(Halt::Full) }
    }

    fn stands_at(&mut self, positions: Vec<EventId>) {
        self.positions = Some(positions);
    }
}
