//! Topic patterns, the form in which access rules and retention policies name sets of topics. Matching never
//! allocates and takes at most (segments of the pattern) x (segments of the topic) steps, whatever both are.

use std::fmt;
use std::str::FromStr;

use crate::Topic;

/// A set of topics, written as a topic whose segments (split at `/`) may be wildcards.
///
/// `*` stands for exactly one segment and `**` for any number of them, none included: `a/**` matches `a`,
/// `a/b` and `a/b/c`; `**` matches every topic. A star beside other text in one segment is refused rather
/// than guessed at. No topic has an empty segment, so a pattern that has one matches none.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TopicPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<str>),
    One,
    Any,
}

/// Why a text is not a topic pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicPatternError {
    /// The pattern has no character.
    #[error("a topic pattern must not be empty; `**` matches every topic")]
    Empty,
    /// The pattern is too long.
    #[error("a topic pattern has at most {max} characters, this one has {0}", max = TopicPattern::LEN_MAX)]
    TooLong(usize),
    /// The pattern holds a character that no topic has.
    #[error(
        "character {character:?} at offset {offset} is not allowed in a topic pattern; allowed are A-Z a-z 0-9 . _ ~ : @ / - and the segments `*` and `**`"
    )]
    Character {
        /// The first offending character.
        character: char,
        /// Its offset in bytes.
        offset: usize,
    },
    /// A segment mixes stars with other text, or has more than two.
    #[error(
        "segment {segment:?} is not allowed in a topic pattern: a segment is `*` (one), `**` (any number) or text without stars"
    )]
    Star {
        /// The offending segment.
        segment: String,
    },
}

impl TopicPattern {
    /// The greatest length of a pattern, in characters.
    pub const LEN_MAX: usize = 256;

    /// Checks `text` and makes it a pattern.
    pub fn parse(text: &str) -> Result<Self, TopicPatternError> {
        if text.is_empty() {
            return Err(TopicPatternError::Empty);
        }
        let alien = |(_, c): &(usize, char)| *c != '*' && !crate::topic::is_topic_character(*c);
        if let Some((offset, character)) = text.char_indices().find(alien) {
            return Err(TopicPatternError::Character { character, offset });
        }
        if text.len() > Self::LEN_MAX {
            return Err(TopicPatternError::TooLong(text.len()));
        }
        let segments = text.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.into(), segments })
    }

    /// Whether `topic` is in the set.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut pattern = &*self.segments;
        let mut rest = topic.as_str().split('/');
        // The last `**` seen and where it began to eat: giving it one segment more is the only way back that
        // is ever needed, an earlier `**` could not do better.
        let mut retry: Option<(&[Segment], std::str::Split<'_, char>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (pattern.split_first(), ahead.next()) {
                (Some((Segment::Any, [])), _) | (None, None) => return true,
                (Some((Segment::Any, after)), _) => {
                    retry = Some((after, rest.clone()));
                    pattern = after;
                    continue;
                }
                (Some((segment, after)), Some(name)) if segment.takes(name) => {
                    pattern = after;
                    rest = ahead;
                    continue;
                }
                _ => {}
            }
            let Some((after, eaten)) = &mut retry else { return false };
            if eaten.next().is_none() {
                return false;
            }
            pattern = after;
            rest = eaten.clone();
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Segment {
    fn parse(segment: &str) -> Result<Self, TopicPatternError> {
        match segment {
            "*" => Ok(Self::One),
            "**" => Ok(Self::Any),
            text if text.contains('*') => Err(TopicPatternError::Star { segment: text.to_owned() }),
            text => Ok(Self::Literal(text.into())),
        }
    }

    fn takes(&self, name: &str) -> bool {
        match self {
            Self::Literal(text) => **text == *name,
            Self::One | Self::Any => true,
        }
    }
}

impl FromStr for TopicPattern {
    type Err = TopicPatternError;

    fn from_str(text: &str) -> Result<Self, TopicPatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        TopicPattern::parse(pattern).unwrap().matches(&Topic::parse(topic).unwrap())
    }

    #[test]
    fn a_star_is_one_segment() {
        assert!(matches("user/*", "user/7"));
        assert!(matches("*/*", "user/7"));
        assert!(!matches("user/*", "user"));
        for other in ["user", "user/7/inbox", "users/7"] {
            assert!(!matches("user/*", other), "{other}");
        }
    }

    #[test]
    fn two_stars_are_any_number_of_segments() {
        for topic in ["a", "a/b", "a/b/c", "~"] {
            assert!(matches("**", topic), "{topic}");
        }
        for topic in ["a", "a/b", "a/b/c"] {
            assert!(matches("a/**", topic), "{topic}");
        }
        assert!(!matches("a/**", "ab/c"));
        assert!(matches("**/z", "z") && matches("**/z", "a/z/z") && !matches("**/z", "a/z/y"));
        assert!(matches("a/**/b/*/c", "a/b/b/x/c") && !matches("a/**/b/*/c", "a/b/c"));
        assert!(matches("**/a/**/b", "x/a/a/b/c/b") && !matches("**/a/**/b", "x/b/a"));
        assert!(matches("**/*", "a") && matches("*/**/*", "a/b") && !matches("*/**/*", "a"));
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(TopicPattern::parse(""), Err(TopicPatternError::Empty));
        assert_eq!(TopicPattern::parse(&"x".repeat(257)), Err(TopicPatternError::TooLong(257)));
        for segment in ["a*", "*a", "***", "a*b"] {
            let expected = Err(TopicPatternError::Star { segment: segment.to_owned() });
            assert_eq!(TopicPattern::parse(&format!("x/{segment}")), expected);
        }
        let expected = Err(TopicPatternError::Character { character: '{', offset: 2 });
        assert_eq!(TopicPattern::parse("x/{y}"), expected);
    }
}
