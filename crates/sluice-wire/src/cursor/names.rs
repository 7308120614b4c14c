//! The short names that stand for topics in a cursor. They depend on the set of topics alone, not on where
//! the topics stand, so a feed works them out once and pays for no hash per event.

use std::fmt;

use super::vector::{Entry, VectorCursor, write_text};
use crate::{EventId, Topic};

/// The names of a set of topics, ready to write one cursor of the set after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorNames {
    /// In the order of a cursor's entries; each name with the place of its topic in the set.
    named: Box<[(Name, usize)]>,
}

/// What stands for a topic. Ordered as the entries of a cursor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The hash modulo 62^6.
    Short(u64),
    /// The whole hash.
    Long(u64),
}

impl VectorNames {
    /// Names for a set of topics: short ones, except for topics whose short names are equal.
    pub fn new<'a>(topics: impl IntoIterator<Item = &'a Topic>) -> Self {
        Self::of_hashes(topics.into_iter().map(hash))
    }

    pub(super) fn of_hashes(hashes: impl IntoIterator<Item = u64>) -> Self {
        let mut hashes: Vec<(u64, usize)> = hashes.into_iter().zip(0..).collect();
        hashes.sort_unstable_by_key(|(hash, place)| (short(*hash), *hash, *place));
        let same_short = |(one, _): &(u64, usize), (other, _): &(u64, usize)| short(*one) == short(*other);
        let mut named: Vec<_> = hashes
            .chunk_by(same_short)
            .flat_map(|same| {
                let alone = same.iter().all(|(hash, _)| *hash == same[0].0);
                let name = move |hash| if alone { Name::Short(short(hash)) } else { Name::Long(hash) };
                same.iter().map(move |(hash, place)| (name(*hash), *place))
            })
            .collect();
        named.sort_unstable();
        Self { named: named.into() }
    }

    /// The cursor of the set when its topics, in the order in which they were given, stand at `positions` and
    /// nothing up to `floor_ms` is missing in any of them. A topic without a position stands at the floor.
    #[must_use]
    pub fn cursor(&self, floor_ms: u64, positions: &[EventId]) -> VectorCursor {
        VectorCursor::of_entries(floor_ms, self.entries(floor_ms, positions).collect())
    }

    /// The text of [`VectorNames::cursor`], written without making the cursor: for the `id:` line of an event.
    #[must_use]
    pub fn text<'a>(&'a self, floor_ms: u64, positions: &'a [EventId]) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| write_text(f, floor_ms, self.entries(floor_ms, positions)))
    }

    /// What is newer than the floor. Topics with one hash share the oldest of their positions.
    fn entries<'a>(&'a self, floor_ms: u64, positions: &'a [EventId]) -> impl Iterator<Item = Entry> + 'a {
        let floor = super::floor_position(floor_ms);
        let position = move |(_, place): &(Name, usize)| positions.get(*place).copied().unwrap_or(floor);
        self.named
            .chunk_by(|(one, _), (other, _)| one == other)
            .filter_map(move |same| {
                Some(Entry { name: same[0].0, position: same.iter().map(position).min()? })
            })
            .filter(move |entry| entry.position > floor)
    }
}

impl Name {
    pub(super) const SHORT_DIGITS: usize = 6;
    pub(super) const LONG_DIGITS: usize = 11;
}

pub(super) fn short(hash: u64) -> u64 {
    const SHORT_NAMES: u64 = 62_u64.pow(6);
    hash % SHORT_NAMES
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv).
pub(super) fn hash(topic: &Topic) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    topic.as_str().bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fnv_1a() {
        let hash = |name| hash(&Topic::parse(name).unwrap());
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(hash("orders"), 0x0012_5d92_50be_8b4c);
    }

    #[test]
    fn topics_with_one_hash_share_the_older_position() {
        let names = VectorNames::of_hashes([7, 7]);
        let (early, late) = (EventId::new(11, 0), EventId::new(12, 0));
        for positions in [[early, late], [late, early]] {
            assert_eq!(names.cursor(10, &positions).to_string(), "v1.A.0000071");
        }
        assert_eq!(names.cursor(10, &[late, EventId::ZERO]).to_string(), "v1.A");
        assert_eq!(names.cursor(10, &[late]).to_string(), "v1.A");
    }
}
