//! Events, as they are published and as the log returns them.

use std::fmt;

use bytestring::ByteString;

use crate::{EventId, Topic};

/// An event of a topic as its log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What Redis called it.
    pub id: EventId,
    /// The last id that the log had generated before this one. `None` when a plain XADD wrote the entry.
    pub prev: Option<EventId>,
    /// The SSE `event:` field; `None` is the browser's `message`.
    pub event_type: Option<EventType>,
    /// The payload.
    pub data: ByteString,
    /// The W3C `traceparent` of the publisher's request.
    pub traceparent: Option<ByteString>,
}

/// An event that has no id yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Where it goes.
    pub topic: Topic,
    /// The SSE `event:` field; `None` is the browser's `message`.
    pub event_type: Option<EventType>,
    /// The payload.
    pub data: ByteString,
    /// Makes a retry harmless: a second event with the same key and topic within the idempotency window is
    /// not appended, and the first one's id is answered.
    pub key: Option<IdempotencyKey>,
    /// The W3C `traceparent` to carry along.
    pub traceparent: Option<ByteString>,
}

impl NewEvent {
    /// An event without type, key and trace.
    #[must_use]
    pub fn new(topic: Topic, data: impl Into<ByteString>) -> Self {
        Self { topic, event_type: None, data: data.into(), key: None, traceparent: None }
    }
}

/// The type of an event: 1 to 200 bytes of UTF-8 without control characters.
///
/// A line break would end the SSE field and start another, so it is refused here, where every type comes
/// from, and once more by the encoder's debug assertions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventType(ByteString);

/// Why a text is not an event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventTypeError {
    /// The type has no character.
    #[error("an event type must not be empty; leave it out for `message`")]
    Empty,
    /// The type is too long.
    #[error("an event type has at most {max} bytes, this one has {0}", max = EventType::LEN_MAX)]
    TooLong(usize),
    /// The type holds a control character, such as CR, LF or NUL.
    #[error("control character {character:?} at offset {offset} is not allowed in an event type")]
    Control {
        /// The first offending character.
        character: char,
        /// Its offset in bytes.
        offset: usize,
    },
}

impl EventType {
    /// The greatest length in bytes.
    pub const LEN_MAX: usize = 200;

    /// Checks `text` and makes it a type.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, EventTypeError> {
        let text = text.into();
        if text.is_empty() {
            return Err(EventTypeError::Empty);
        }
        if let Some((offset, character)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(EventTypeError::Control { character, offset });
        }
        if text.len() > Self::LEN_MAX {
            return Err(EventTypeError::TooLong(text.len()));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A publisher's name for one event: 1 to 200 printable ASCII characters without spaces and braces.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IdempotencyKey(ByteString);

/// A text that is not an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to {max} printable ASCII characters without spaces and braces", max = IdempotencyKey::LEN_MAX)]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// The greatest length in characters.
    pub const LEN_MAX: usize = 200;

    /// Checks `text` and makes it a key.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, IdempotencyKeyError> {
        let text = text.into();
        let fits = (1..=Self::LEN_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'{' | b'}')) {
            Ok(Self(text))
        } else {
            Err(IdempotencyKeyError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_cannot_break_its_line() {
        for bad in ["a\nb", "a\rb", "\0", "a\u{85}"] {
            assert!(matches!(EventType::parse(bad), Err(EventTypeError::Control { .. })), "{bad:?}");
        }
        assert_eq!(EventType::parse(""), Err(EventTypeError::Empty));
        assert_eq!(EventType::parse("x".repeat(201)), Err(EventTypeError::TooLong(201)));
        assert_eq!(EventType::parse("commande.créée").unwrap().as_str(), "commande.créée");
    }

    #[test]
    fn keys_are_plain_tokens() {
        assert!(IdempotencyKey::parse("8f14e45f-ceea-4672-9b1c-2e8a4a1b6b1a").is_ok());
        for bad in ["", "a b", "a{b", "é", &"x".repeat(201)] {
            assert_eq!(IdempotencyKey::parse(bad), Err(IdempotencyKeyError));
        }
    }
}
