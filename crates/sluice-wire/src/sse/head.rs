//! Chunk heads: the size line and the `id:` line that a feed of several topics puts before the tail of a
//! frame it shares with other feeds. This is what such a feed pays for an event, so it is one allocation of
//! exactly the bytes needed.

use std::fmt::{self, Display, Write};

use bytes::Bytes;
use memchr::memchr3;

/// What ends an HTTP/1.1 chunk, its size line and its data alike.
pub(super) const CHUNK_END: &[u8] = b"\r\n";

/// The beginning of a chunk up to the end of its `id:` line; a [`Frame::tail`](super::Frame::tail) follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    chunk: Bytes,
    payload_at: usize,
}

impl Head {
    /// The size line and the `id:` line, for HTTP/1.1 chunks.
    #[must_use]
    pub fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// The `id:` line alone, for HTTP/1.0 and HTTP/2. There, the chunk end is to be left off the tail.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.chunk.slice(self.payload_at..)
    }

    /// Where the `id:` line begins in [`Head::chunk`].
    #[must_use]
    pub fn payload_at(&self) -> usize {
        self.payload_at
    }
}

/// The head of a chunk whose event has the id `id`, usually a [`Cursor`](crate::cursor::Cursor), and whose
/// rest is a tail of `tail_len` bytes, chunk end included.
///
/// CR, LF and NUL, which no cursor holds, would be written as `_`.
#[must_use]
pub fn head<I: Display + ?Sized>(id: &I, tail_len: usize) -> Head {
    let mut line = IdLine::default();
    line.write(id);
    let line = line.as_bytes();
    let size = line.len() + tail_len.saturating_sub(CHUNK_END.len());
    let payload_at = size_line_len(size);
    let mut chunk = Vec::with_capacity(payload_at + line.len());
    chunk.resize(payload_at, b'0');
    write_size_line(&mut chunk, size);
    chunk.extend_from_slice(line);
    Head { chunk: chunk.into(), payload_at }
}

/// The length of the size line of a chunk with `size` bytes of data.
pub(super) fn size_line_len(size: usize) -> usize {
    let bits = (usize::BITS - size.leading_zeros()).max(1);
    bits.div_ceil(4) as usize + CHUNK_END.len()
}

/// Writes the size line of a chunk with `size` bytes of data to the end of `room`; says where it begins.
pub(super) fn write_size_line(room: &mut [u8], size: usize) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits_end = room.len() - CHUNK_END.len();
    let start = room.len() - size_line_len(size);
    room[digits_end..].copy_from_slice(CHUNK_END);
    let mut rest = size;
    for place in room[start..digits_end].iter_mut().rev() {
        *place = HEX[rest % 16];
        rest /= 16;
    }
    start
}

const NAME: &[u8] = b"id: ";

/// An `id:` line of unknown length, put together on the stack unless it is unusually long, so that the
/// memory it ends in can be allocated in the right size.
pub(super) struct IdLine {
    inline: [u8; Self::INLINE],
    len: usize,
    spilled: Vec<u8>,
}

impl IdLine {
    const INLINE: usize = 192;

    /// Writes the line of `value`. What could end the line or void the field is replaced.
    pub(super) fn write<I: Display + ?Sized>(&mut self, value: &I) {
        self.push(NAME);
        // `push` cannot fail, and a `Display` that does has written what it had: a line in any case.
        let _ = write!(self, "{value}");
        let value =
            if self.spilled.is_empty() { &mut self.inline[..self.len] } else { &mut self.spilled[..] };
        let mut rest = &mut value[NAME.len()..];
        while let Some(at) = memchr3(b'\n', b'\r', 0, rest) {
            rest[at] = b'_';
            rest = &mut rest[at + 1..];
        }
        self.push(b"\n");
    }

    /// The line so far; empty when nothing was written.
    pub(super) fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.len] } else { &self.spilled }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if self.spilled.is_empty() && end <= Self::INLINE {
            self.inline[self.len..end].copy_from_slice(bytes);
        } else {
            if self.spilled.is_empty() {
                self.spilled.extend_from_slice(&self.inline[..self.len]);
            }
            self.spilled.extend_from_slice(bytes);
        }
        self.len = end;
    }
}

impl Default for IdLine {
    fn default() -> Self {
        Self { inline: [0; Self::INLINE], len: 0, spilled: Vec::new() }
    }
}

impl Write for IdLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_lines_are_hexadecimal_without_zeros_in_front() {
        for size in [0, 1, 15, 16, 255, 256, 4095, 65_536, usize::MAX] {
            let mut room = [b'?'; 24];
            let start = write_size_line(&mut room, size);
            assert_eq!(room[start..], *format!("{size:x}\r\n").as_bytes());
            assert_eq!(room.len() - start, size_line_len(size));
        }
    }

    #[test]
    fn a_head_counts_its_line_and_the_tail() {
        let head = head("v1.0", "data: x\n\n\r\n".len());
        assert_eq!(head.chunk(), "12\r\nid: v1.0\n");
        assert_eq!(head.payload(), "id: v1.0\n");
        assert_eq!(head.payload_at(), 4);
    }

    #[test]
    fn a_long_id_is_written_whole() {
        for length in [IdLine::INLINE - 6, IdLine::INLINE - 5, IdLine::INLINE - 4, IdLine::INLINE, 5000] {
            let id = "x".repeat(length);
            assert_eq!(head(&id, 2).payload(), format!("id: {id}\n"));
        }
    }

    #[test]
    fn an_id_cannot_end_its_line() {
        assert_eq!(head("1\r\ndata: x\0", 2).payload(), "id: 1__data: x_\n");
    }
}
