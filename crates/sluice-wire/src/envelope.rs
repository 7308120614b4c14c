//! Messages on a topic's live channel: the envelope that `publish.lua` wraps around an event, and the plain
//! text that anybody may publish by hand. An event is read without copying its data.
//!
//! # Format, version 1
//!
//! ```text
//! \x01v=1 id=<ms>-<seq> [prev=<ms>-<seq>] [type=<type>] [tp=<traceparent>]\n<data>
//! ```
//!
//! Values are percent-encoded: space, `%`, control characters and everything beyond ASCII as `%XX`. Keys that
//! this version does not know are skipped, so that a later one can add some. The data is UTF-8 and stands
//! there untouched. A message that does not begin with `\x01` is somebody's plain text.

use bytes::Bytes;
use bytestring::ByteString;
use memchr::memchr;

use crate::percent;
use crate::{Event, EventId, EventType, EventTypeError};

const MARK: u8 = 0x01;

/// The greatest length of a header line in bytes: several times what the known keys can need.
pub const HEADER_LEN_MAX: usize = 4096;

/// A message on a live channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveMessage {
    /// An event of the topic's log.
    Event(Event),
    /// Plain text, which no log holds.
    Plain(ByteString),
}

/// Why a message on a live channel cannot be read. Says where, but repeats nothing of the message's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The data, or the whole of a plain message, is not text.
    #[error("the message is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The first byte, counted from the start of the message, that is not part of UTF-8 text.
        offset: usize,
    },
    /// No line feed ends the header.
    #[error("the envelope's header does not end within {HEADER_LEN_MAX} bytes")]
    NoHeaderEnd,
    /// The header does not begin with `v=1`.
    #[error("the envelope begins with {found:?} where this version reads \"v=1\"")]
    Version {
        /// The first field, no more than 32 bytes of it.
        found: String,
    },
    /// A field has no `=`.
    #[error("the envelope's field at byte {offset} has no `=`")]
    NoValue {
        /// Where the field begins, counted from the start of the message.
        offset: usize,
    },
    /// A key stands there twice.
    #[error("the envelope's key `{key}` is repeated at byte {offset}")]
    Repeated {
        /// The key.
        key: &'static str,
        /// Where its second field begins.
        offset: usize,
    },
    /// The `id` is missing.
    #[error("the envelope has no `id`")]
    NoId,
    /// An `id` or `prev` is not an event id.
    #[error("the envelope's `{key}` at byte {offset} is not <ms>-<seq>")]
    Id {
        /// The key.
        key: &'static str,
        /// Where its field begins.
        offset: usize,
    },
    /// A value is not percent-encoded UTF-8.
    #[error("the envelope's `{key}` at byte {offset} is not percent-encoded UTF-8")]
    Encoding {
        /// The key.
        key: &'static str,
        /// Where its field begins.
        offset: usize,
    },
    /// The type is none that an event may have.
    #[error("the envelope's `type` at byte {offset}: {why}")]
    Type {
        /// Where its field begins.
        offset: usize,
        /// What is wrong with it.
        why: EventTypeError,
    },
}

/// Reads a message of a live channel. What it returns are slices of `message`.
pub fn parse(message: Bytes) -> Result<LiveMessage, EnvelopeError> {
    if message.first() != Some(&MARK) {
        return text(message, 0).map(LiveMessage::Plain);
    }
    let searched = &message[..message.len().min(HEADER_LEN_MAX)];
    let end = memchr(b'\n', searched).ok_or(EnvelopeError::NoHeaderEnd)?;
    let mut header = Header::default();
    let mut start = 1;
    for (nth, field) in message[start..end].split(|b| *b == b' ').enumerate() {
        match nth {
            0 if field == b"v=1" => {}
            0 => {
                let found = String::from_utf8_lossy(&field[..field.len().min(32)]).into_owned();
                return Err(EnvelopeError::Version { found });
            }
            _ => header.take(&message, start, field)?,
        }
        start += field.len() + 1;
    }
    Ok(LiveMessage::Event(Event {
        id: header.id.ok_or(EnvelopeError::NoId)?,
        prev: header.prev,
        event_type: header.event_type,
        data: text(message.slice(end + 1..), end + 1)?,
        traceparent: header.traceparent,
    }))
}

fn text(bytes: Bytes, offset: usize) -> Result<ByteString, EnvelopeError> {
    ByteString::try_from(bytes).map_err(|why| EnvelopeError::NotUtf8 { offset: offset + why.valid_up_to() })
}

#[derive(Default)]
struct Header {
    id: Option<EventId>,
    prev: Option<EventId>,
    event_type: Option<EventType>,
    traceparent: Option<ByteString>,
}

impl Header {
    /// Reads `field`, which stands at `offset` in `message`.
    fn take(&mut self, message: &Bytes, offset: usize, field: &[u8]) -> Result<(), EnvelopeError> {
        if field.is_empty() {
            return Ok(());
        }
        let equals = memchr(b'=', field).ok_or(EnvelopeError::NoValue { offset })?;
        let value = message.slice(offset + equals + 1..offset + field.len());
        match &field[..equals] {
            b"id" => set(&mut self.id, "id", offset, || id(&value, "id", offset)),
            b"prev" => set(&mut self.prev, "prev", offset, || id(&value, "prev", offset)),
            b"type" => set(&mut self.event_type, "type", offset, || {
                EventType::parse(decoded(&value, "type", offset)?)
                    .map_err(|why| EnvelopeError::Type { offset, why })
            }),
            b"tp" => set(&mut self.traceparent, "tp", offset, || decoded(&value, "tp", offset)),
            _ => Ok(()),
        }
    }
}

fn set<T>(
    slot: &mut Option<T>,
    key: &'static str,
    offset: usize,
    value: impl FnOnce() -> Result<T, EnvelopeError>,
) -> Result<(), EnvelopeError> {
    if slot.is_some() {
        return Err(EnvelopeError::Repeated { key, offset });
    }
    *slot = Some(value()?);
    Ok(())
}

fn id(value: &[u8], key: &'static str, offset: usize) -> Result<EventId, EnvelopeError> {
    let text = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    text.ok_or(EnvelopeError::Id { key, offset })
}

fn decoded(value: &Bytes, key: &'static str, offset: usize) -> Result<ByteString, EnvelopeError> {
    percent::decode(value).ok_or(EnvelopeError::Encoding { key, offset })
}

/// The message that announces `event`, byte for byte what `publish.lua` sends.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    let mut message = Vec::with_capacity(128 + event.data.len());
    message.push(MARK);
    message.extend_from_slice(b"v=1");
    put(&mut message, "id", &event.id.to_string());
    if let Some(prev) = event.prev {
        put(&mut message, "prev", &prev.to_string());
    }
    if let Some(event_type) = &event.event_type {
        put(&mut message, "type", event_type.as_str());
    }
    if let Some(traceparent) = &event.traceparent {
        put(&mut message, "tp", traceparent);
    }
    message.push(b'\n');
    message.extend_from_slice(event.data.as_bytes());
    message
}

fn put(message: &mut Vec<u8>, key: &str, value: &str) {
    message.push(b' ');
    message.extend_from_slice(key.as_bytes());
    message.push(b'=');
    percent::encode(value, message);
}

#[cfg(test)]
mod tests;
