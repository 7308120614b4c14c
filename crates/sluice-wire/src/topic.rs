//! Topic names.

use std::fmt;
use std::str::FromStr;

use arcstr::ArcStr;

/// The name of a sequence of events: 1 to 200 characters of `[A-Za-z0-9._~:@/-]`, of which no segment between slashes is
/// empty, `.` or `..`.
///
/// Proxies and HTTP libraries drop or resolve such segments in a path, so a topic that had one could be named in some
/// requests and not in others.
///
/// Braces are not among them, so that `{<topic>}` is always a whole Redis Cluster hash tag. Cloning shares
/// the text, behind a pointer of eight bytes: a node holds each name in several tables, and where every stream
/// has a topic of its own, their sizes are the stream's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(ArcStr);

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The name has no character.
    #[error("a topic must not be empty")]
    Empty,
    /// The name is too long.
    #[error("a topic has at most {max} characters, this one has {0}", max = Topic::LEN_MAX)]
    TooLong(usize),
    /// A segment is one that proxies drop or resolve in a path.
    #[error(
        "a topic must not begin or end with `/`, and no segment may be empty, `.` or `..`; segment {number} is {segment:?}"
    )]
    Segment {
        /// Which segment, counted from 1.
        number: usize,
        /// The segment.
        segment: &'static str,
    },
    /// The name holds a character outside the alphabet.
    #[error(
        "character {character:?} at offset {offset} is not allowed in a topic; allowed are A-Z a-z 0-9 . _ ~ : @ / -"
    )]
    Character {
        /// The first offending character.
        character: char,
        /// Its offset in bytes.
        offset: usize,
    },
}

impl Topic {
    /// The greatest length of a name, in characters (which are bytes, all being ASCII).
    pub const LEN_MAX: usize = 200;

    /// Topics whose names begin so belong to processes that try whether they may append; no client may read or
    /// publish to them.
    pub const READINESS_PREFIX: &'static str = "sluice.ready/";

    /// Checks `name` and makes it a topic.
    pub fn parse(name: &str) -> Result<Self, TopicError> {
        if name.is_empty() {
            return Err(TopicError::Empty);
        }
        if let Some((offset, character)) = name.char_indices().find(|(_, c)| !is_topic_character(*c)) {
            return Err(TopicError::Character { character, offset });
        }
        if name.len() > Self::LEN_MAX {
            return Err(TopicError::TooLong(name.len()));
        }
        if let Some((number, segment)) = (1..).zip(name.split('/')).find_map(dropped_segment) {
            return Err(TopicError::Segment { number, segment });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A segment that has no place in a path, with its number.
fn dropped_segment((number, segment): (usize, &str)) -> Option<(usize, &'static str)> {
    ["", ".", ".."].into_iter().find(|dropped| *dropped == segment).map(|segment| (number, segment))
}

pub(crate) fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | ':' | '@' | '/' | '-')
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        Self::parse(name)
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_whole_alphabet_up_to_the_limit() {
        for name in ["a", "orders/7", "user:7@eu-west_1.~", &"x".repeat(200)] {
            assert_eq!(Topic::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_is_held_by_eight_bytes() {
        assert_eq!((size_of::<Topic>(), size_of::<Option<Topic>>()), (8, 8));
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(Topic::parse(""), Err(TopicError::Empty));
        assert_eq!(Topic::parse(&"x".repeat(201)), Err(TopicError::TooLong(201)));
        for (name, character, offset) in [("a b", ' ', 1), ("{a}", '{', 0), ("é", 'é', 0), ("a\r", '\r', 1)]
        {
            assert_eq!(Topic::parse(name), Err(TopicError::Character { character, offset }));
        }
    }

    #[test]
    fn a_topic_that_a_path_cannot_carry_is_none() {
        for (name, number, segment) in
            [("/t", 1, ""), ("t/", 2, ""), ("/", 1, ""), ("a//b", 2, ""), (".", 1, "."), ("a/../b", 2, "..")]
        {
            assert_eq!(Topic::parse(name), Err(TopicError::Segment { number, segment }), "{name:?}");
        }
        for name in ["a..b/...", "~/.a", "a/.../b", ":"] {
            assert!(Topic::parse(name).is_ok(), "{name:?}");
        }
    }
}
