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

/// The type of an event: 1 to 200 bytes of UTF-8 without control characters that do not begin with `sluice.`.
///
/// A line break would end the SSE field and start another, so it is refused here, where every type comes
/// from, and once more by the encoder's debug assertions. Types that begin with `sluice.` tell clients about the
/// stream itself (`sluice.gap`, `sluice.expired`); an event that carried one would be believed.
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
    /// The type begins with [`EventType::RESERVED_PREFIX`].
    #[error("event types that begin with `{prefix}` are reserved for Sluice itself; choose another type", prefix = EventType::RESERVED_PREFIX)]
    Reserved,
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

    /// What the types of Sluice's own events begin with; no event of a log has such a type.
    pub const RESERVED_PREFIX: &str = "sluice.";

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
        if text.starts_with(Self::RESERVED_PREFIX) {
            return Err(EventTypeError::Reserved);
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
///
/// Keys of one topic share a namespace, so a service that takes events of several senders puts each sender's keys
/// into a scope of its own ([`IdempotencyKey::within`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IdempotencyKey {
    /// The scope, if there is one, and the key as it was given.
    name: ByteString,
    /// Where the key begins as it was given.
    given_from: usize,
}

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
            Ok(Self { name: text, given_from: 0 })
        } else {
            Err(IdempotencyKeyError)
        }
    }

    /// The same key in the scope of a sender: it never equals one of another sender or one without a scope.
    #[must_use]
    pub fn within(&self, sender: [u8; 16]) -> Self {
        let scope = format!("from:{:032x}:", u128::from_be_bytes(sender));
        let name = format!("{scope}{}", self.given()).into();
        Self { name, given_from: scope.len() }
    }

    /// What the event is remembered by: the key with its scope.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The key as its sender gave it.
    #[must_use]
    pub fn given(&self) -> &str {
        self.name.get(self.given_from..).unwrap_or_default()
    }

    /// Whether the key is within the scope of a sender.
    #[must_use]
    pub fn is_scoped(&self) -> bool {
        self.given_from > 0
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
    fn a_type_cannot_speak_for_the_server() {
        for reserved in ["sluice.", "sluice.gap", "sluice.expired", "sluice.anything"] {
            assert_eq!(EventType::parse(reserved), Err(EventTypeError::Reserved), "{reserved:?}");
        }
        for free in ["sluice", "sluices.gap", "Sluice.gap", " sluice.gap", "x.sluice.gap"] {
            assert!(EventType::parse(free).is_ok(), "{free:?}");
        }
    }

    #[test]
    fn keys_are_plain_tokens() {
        assert!(IdempotencyKey::parse("8f14e45f-ceea-4672-9b1c-2e8a4a1b6b1a").is_ok());
        for bad in ["", "a b", "a{b", "é", &"x".repeat(201)] {
            assert_eq!(IdempotencyKey::parse(bad), Err(IdempotencyKeyError));
        }
    }

    #[test]
    fn keys_of_different_senders_differ_whatever_they_are() {
        let key = IdempotencyKey::parse("k").unwrap();
        let (one, two) = (key.within([1; 16]), key.within([2; 16]));
        assert_eq!(one.as_str(), "from:01010101010101010101010101010101:k");
        assert!(one != two && one != key && one.is_scoped() && !key.is_scoped());
        assert_eq!((one.given(), key.given(), one.within([2; 16])), ("k", "k", two));
        // A sender cannot name a key of another one.
        assert_ne!(IdempotencyKey::parse(one.as_str()).unwrap().within([2; 16]), one);
    }
}
