//! The client's end of one stream's bytes: an HTTP/1.1 response head, then a body that is chunked or ends with
//! the connection, then Server-Sent Events. A reader keeps a few bytes of state and, only while an event is
//! split between two reads, the part that came first; so tens of thousands of them fit in one process.
//!
//! `sluice_wire::sse::Decoder` is the reference for the event syntax and a test holds this one against it. It
//! is written again because a generator has some fifty nanoseconds for an event: nothing is allocated or copied
//! for an event that lies whole in the bytes read. Lone CRs as line ends are left out; no server measured here
//! writes them.

mod echo;
mod events;
mod head;

use std::fmt;

pub(crate) use echo::Echo;
pub(crate) use events::Event;

/// The most bytes of one head or event that are kept while waiting for the rest.
const CARRY_BYTES_MAX: usize = 1 << 20;

/// Who is told what a reader finds.
pub(crate) trait Sink {
    /// The response head came, with this status.
    fn head(&mut self, status: u16);
    /// An event, or an id or a `retry` without data.
    fn event(&mut self, event: &Event<'_>);
}

/// Why the bytes of a stream cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The response head is none.
    Head,
    /// The response has no event stream as its body.
    ContentType,
    /// A chunk's size line or end is broken.
    Chunk,
    /// A head or an event is longer than a reader keeps.
    TooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "malformed response head",
            Self::ContentType => "the response is no event stream",
            Self::Chunk => "malformed chunk",
            Self::TooLong => "event or head too long",
        })
    }
}

/// Where in the response a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// In a chunk's size line, with the value so far.
    Size(u32),
    /// In the rest of a size line, behind the number.
    SizeLine(u32),
    /// In a chunk, with the bytes left of it.
    Chunk(u32),
    /// Behind a chunk, before its line end is over.
    ChunkEnd,
    /// In a body that ends with the connection, or in one that is not looked at (an error's).
    Unframed,
    Skip,
    /// Behind the last chunk.
    Over,
}

/// The state of one stream's response.
#[derive(Debug)]
pub(crate) struct Reader {
    place: Place,
    carry: Vec<u8>,
}

impl Reader {
    /// At the beginning of a response.
    pub(crate) fn new() -> Self {
        Self { place: Place::Head, carry: Vec::new() }
    }

    /// Whether the body's last chunk was read.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Whether the next byte is the first of a chunk and nothing is kept from before.
    pub(crate) fn is_between_chunks(&self) -> bool {
        self.place == Place::Size(0) && self.carry.is_empty()
    }

    /// Takes the next bytes of the response and tells `sink` what they complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
        if self.place == Place::Head {
            let rest = self.head(bytes, sink)?;
            bytes = &bytes[bytes.len() - rest..];
        }
        while let Some(&first) = bytes.first() {
            match self.place {
                Place::Chunk(left) => {
                    let here = bytes.len().min(left as usize);
                    self.text(&bytes[..here], sink)?;
                    bytes = &bytes[here..];
                    let here = u32::try_from(here).unwrap_or(left);
                    self.place = if here == left { Place::ChunkEnd } else { Place::Chunk(left - here) };
                }
                Place::Unframed => {
                    self.text(bytes, sink)?;
                    return Ok(());
                }
                Place::Head | Place::Skip | Place::Over => return Ok(()),
                place => {
                    self.place = envelope(place, first)?;
                    bytes = &bytes[1..];
                }
            }
        }
        Ok(())
    }

    /// Collects the head; returns how many of `bytes` lie behind it.
    fn head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Malformed> {
        let before = self.carry.len();
        self.carry.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.carry, b"\r\n\r\n").map(|at| at + 4) else {
            return if self.carry.len() > CARRY_BYTES_MAX { Err(Malformed::TooLong) } else { Ok(0) };
        };
        let head = head::parse(&self.carry[..end])?;
        self.carry = Vec::new();
        self.place = match (head.status, head.chunked) {
            (200, true) => Place::Size(0),
            (200, false) => Place::Unframed,
            _ => Place::Skip,
        };
        sink.head(head.status);
        Ok(before + bytes.len() - end)
    }

    fn text(&mut self, text: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
        if self.carry.is_empty() {
            let done = events::scan(text, sink);
            self.carry.extend_from_slice(&text[done..]);
            return Ok(());
        }
        self.carry.extend_from_slice(text);
        let done = events::scan(&self.carry, sink);
        if done == self.carry.len() {
            // Freed, not cleared: an idle stream keeps no buffer.
            self.carry = Vec::new();
        } else {
            self.carry.drain(..done);
        }
        if self.carry.len() > CARRY_BYTES_MAX { Err(Malformed::TooLong) } else { Ok(()) }
    }
}

/// One step through the bytes around chunks.
fn envelope(place: Place, byte: u8) -> Result<Place, Malformed> {
    let behind_line = |size| if size == 0 { Place::Over } else { Place::Chunk(size) };
    match (place, byte) {
        (Place::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = char::from(byte).to_digit(16).unwrap_or(0);
            let larger = size.checked_mul(16).and_then(|size| size.checked_add(digit));
            Ok(Place::Size(larger.ok_or(Malformed::Chunk)?))
        }
        (Place::Size(size), b'\r' | b';' | b' ') => Ok(Place::SizeLine(size)),
        (Place::SizeLine(size), b'\n') => Ok(behind_line(size)),
        (Place::SizeLine(size), _) => Ok(Place::SizeLine(size)),
        (Place::ChunkEnd, b'\r') => Ok(Place::ChunkEnd),
        (Place::ChunkEnd, b'\n') => Ok(Place::Size(0)),
        _ => Err(Malformed::Chunk),
    }
}

#[cfg(test)]
mod tests;
