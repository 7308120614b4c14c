//! Cursors: what a stream has seen, as the SSE `id:` field carries it and `Last-Event-ID` brings it back.
//! A cursor is text from outside until it is parsed: any bytes may come, and reading them takes time linear
//! in their length, which is bounded.

mod base62;
mod names;
mod vector;

use std::fmt;
use std::str::FromStr;

pub use names::VectorNames;
pub use vector::VectorCursor;

use crate::{EventId, Topic};

/// Three 64-bit numbers in decimal digits and two marks.
const PLAIN_LEN_MAX: usize = 3 * 20 + 2;

/// The positions of all topics of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// The cursor of a stream of one topic: `<ms>-<seq>`, or `<ms>-<seq>~<floor ms>` on a checkpoint.
    Plain {
        /// The last event that the client was given, [`EventId::ZERO`] for none.
        last: EventId,
        /// Nothing behind `last` up to this moment is missing.
        floor_ms: Option<u64>,
    },
    /// The cursor of a stream of several topics.
    Vector(VectorCursor),
}

/// A text that this version cannot read as a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// A newer Sluice wrote it, as happens during a rolling upgrade: another node may be able to read it.
    #[error("this cursor has version {version}, this node reads version {known}", known = VectorCursor::VERSION)]
    Newer {
        /// The version that the text names.
        version: u32,
    },
    /// Foreign or damaged.
    #[error("this is not a cursor of Sluice; send back the `id` of the last event unchanged")]
    Broken,
}

impl Cursor {
    /// The greatest number of topics that a stream may be configured to have.
    pub const TOPICS_MAX: usize = 1_024;
    /// The greatest length of a cursor in bytes. Every cursor that a node may write is readable by every node,
    /// however many topics a stream of it may have.
    pub const LEN_MAX: usize = Self::len_max(Self::TOPICS_MAX);

    /// Returns the length in bytes of the longest cursor of a stream of `topics` topics.
    #[must_use]
    pub const fn len_max(topics: usize) -> usize {
        let vector =
            VectorCursor::HEAD_LEN_MAX.saturating_add(topics.saturating_mul(VectorCursor::ENTRY_LEN_MAX));
        if vector > PLAIN_LEN_MAX { vector } else { PLAIN_LEN_MAX }
    }

    /// Whether `text` consists of what cursors of every version consist of, and no more of it than one may have.
    #[must_use]
    pub fn may_be(text: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        text.len() <= Self::LEN_MAX && text.bytes().all(fits)
    }

    /// Where this cursor stands in `topic`, for a stream of `topics_in_set` topics.
    ///
    /// A plain cursor offered for one topic is that topic's last event. Offered for several it is a moment,
    /// since it does not tell whose event it names: each of them starts behind the later of its two parts.
    #[must_use]
    pub fn position(&self, topic: &Topic, topics_in_set: usize) -> EventId {
        match self {
            Self::Plain { last, .. } if topics_in_set <= 1 => *last,
            Self::Plain { last, floor_ms } => {
                floor_ms.map_or(*last, |floor_ms| floor_position(floor_ms).max(*last))
            }
            Self::Vector(vector) => vector.position(topic),
        }
    }
}

impl From<EventId> for Cursor {
    fn from(last: EventId) -> Self {
        Self::Plain { last, floor_ms: None }
    }
}

/// The position of which a floor vouches: behind everything of its millisecond. A floor of 0 vouches for
/// nothing.
fn floor_position(floor_ms: u64) -> EventId {
    if floor_ms == 0 { EventId::ZERO } else { EventId::new(floor_ms, u64::MAX) }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        match versioned(text) {
            Some((version, _)) if version > VectorCursor::VERSION => Err(CursorError::Newer { version }),
            _ if text.len() > Self::LEN_MAX => Err(CursorError::Broken),
            Some((_, body)) => VectorCursor::parse_body(body).map(Self::Vector).ok_or(CursorError::Broken),
            None => plain(text).ok_or(CursorError::Broken),
        }
    }
}

/// `v<version>.<body>`. No version is 0 and none has a leading zero.
fn versioned(text: &str) -> Option<(u32, &str)> {
    let (version, body) = text.strip_prefix('v')?.split_once('.')?;
    let canonical = version.bytes().all(|b| b.is_ascii_digit()) && !version.starts_with('0');
    Some((version.parse().ok().filter(|_| canonical)?, body))
}

fn plain(text: &str) -> Option<Cursor> {
    let (last, floor_ms) = match text.split_once('~') {
        None => (text, None),
        // A floor is decimal digits as the parts of an id are.
        Some((last, floor)) if floor.bytes().all(|b| b.is_ascii_digit()) => (last, Some(floor.parse().ok()?)),
        Some(_) => return None,
    };
    Some(Cursor::Plain { last: last.parse().ok()?, floor_ms })
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { last, floor_ms: None } => write!(f, "{last}"),
            Self::Plain { last, floor_ms: Some(floor_ms) } => write!(f, "{last}~{floor_ms}"),
            Self::Vector(vector) => write!(f, "{vector}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        Topic::parse("orders").unwrap()
    }

    #[test]
    fn plain_cursors_read_back() {
        let last = EventId::new(1_700_000_000_000, 7);
        for (text, cursor) in [
            ("1700000000000-7", Cursor::from(last)),
            ("1700000000000-7~1700000009999", Cursor::Plain { last, floor_ms: Some(1_700_000_009_999) }),
            ("0-0~5", Cursor::Plain { last: EventId::ZERO, floor_ms: Some(5) }),
        ] {
            assert_eq!(text.parse(), Ok(cursor.clone()));
            assert_eq!(cursor.to_string(), text);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_a_broken_text() {
        for (text, version) in [("v2.", 2), ("v17.what\never", 17), ("v4294967295.x", u32::MAX)] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError::Newer { version }), "{text:?}");
        }
        for text in [
            "",
            "v",
            "v2",
            "v.",
            "v0.0",
            "v01.0",
            "v+2.0",
            "v4294967296.0",
            "V2.0",
            "1",
            "1-1~",
            "1-1~+5",
            "1-1~5~6",
            "~5",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError::Broken), "{text:?}");
        }
    }

    #[test]
    fn a_plain_cursor_for_several_topics_is_a_moment() {
        let seen = EventId::new(100, 3);
        let quiet = Cursor::Plain { last: seen, floor_ms: Some(500) };
        let busy = Cursor::Plain { last: seen, floor_ms: Some(50) };
        assert_eq!(quiet.position(&topic(), 1), seen);
        assert_eq!(quiet.position(&topic(), 2), EventId::new(500, u64::MAX));
        assert_eq!(busy.position(&topic(), 2), seen);
        assert_eq!(Cursor::from(seen).position(&topic(), 2), seen);
        assert_eq!(
            Cursor::Plain { last: EventId::ZERO, floor_ms: Some(0) }.position(&topic(), 2),
            EventId::ZERO
        );
    }
}
