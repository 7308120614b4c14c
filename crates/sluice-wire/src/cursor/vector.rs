//! The cursor of several topics: one moment that holds for all of them, and the positions of those that have
//! moved on since. It names topics by hash, so it survives topics joining, leaving and changing places, and
//! one value has exactly one text.
//!
//! # Format, version 1
//!
//! ```text
//! cursor = "v1." number *( short / long )
//! short  = "." 6digit  number [ "-" number ]     ; name, ms since the floor, seq when it is not 0
//! long   = "~" 11digit number [ "-" number ]
//! number = digit *digit                          ; base 62, no leading zero
//! digit  = 0-9 A-Z a-z                           ; in this order, which is that of ASCII
//! ```
//!
//! The first number is the floor in milliseconds since the Unix epoch. A topic's long name is the 64-bit
//! FNV-1a hash of its text (offset basis `cbf29ce484222325`, prime `100000001b3`; `orders` hashes to
//! `00125d9250be8b4c`), its short name that hash modulo 62^6, which is the last six digits of the long one
//! (`00Nful5dbrg` and `l5dbrg`). A topic is listed by its short name unless another topic of the set has
//! the same one. Entries are sorted, short ones first; a reader refuses any other order.
//!
//! A topic that joins a set later and happens to have the short name of a listed one is taken for that one:
//! 1 chance in 57 billion a pair.

use std::fmt;

use super::{base62, floor_position};
use crate::{EventId, Topic};

/// A floor and the positions of the topics that are newer than it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorCursor {
    floor_ms: u64,
    // Sorted by name, names distinct, every position newer than the floor.
    entries: Box<[Entry]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    name: Name,
    position: EventId,
}

/// Ordered as their entries are in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Short(u64),
    Long(u64),
}

impl VectorCursor {
    /// The version that is written and read.
    pub const VERSION: u32 = 1;

    /// The cursor of a set of topics that stand at `positions`, when nothing up to `floor_ms` is missing in
    /// any of them.
    ///
    /// All topics of the set are to be given, those that the floor covers too: a name is short only while it
    /// is the only one of the set. If even the long names of two topics are equal, the older position
    /// stands for both, which repeats events but loses none.
    #[must_use]
    pub fn new(floor_ms: u64, positions: &[(&Topic, EventId)]) -> Self {
        Self::of_hashes(
            floor_ms,
            positions.iter().map(|(topic, position)| (hash(topic), *position)).collect(),
        )
    }

    fn of_hashes(floor_ms: u64, mut positions: Vec<(u64, EventId)>) -> Self {
        // Short name first, so that topics to be told apart are neighbours; then the older position first,
        // which is the one that stays of equal hashes.
        positions.sort_unstable_by_key(|(hash, position)| (short(*hash), *hash, *position));
        positions.dedup_by_key(|(hash, _)| *hash);
        let floor = floor_position(floor_ms);
        let mut entries: Vec<_> = positions
            .chunk_by(|(one, _), (other, _)| short(*one) == short(*other))
            .flat_map(|same| same.iter().map(move |(hash, position)| (name(*hash, same.len()), *position)))
            .filter(|(_, position)| *position > floor)
            .map(|(name, position)| Entry { name, position })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.name);
        Self { floor_ms, entries: entries.into() }
    }

    /// Nothing up to this moment, in milliseconds since the Unix epoch, is missing in any topic of the set.
    #[must_use]
    pub fn floor_ms(&self) -> u64 {
        self.floor_ms
    }

    /// Where this cursor stands in `topic`: at its listed position, else behind everything of the floor's
    /// millisecond, else (the floor being 0) before all events.
    #[must_use]
    pub fn position(&self, topic: &Topic) -> EventId {
        self.position_of_hash(hash(topic))
    }

    fn position_of_hash(&self, hash: u64) -> EventId {
        let listed = |name| self.entries.binary_search_by_key(&name, |entry| entry.name).ok();
        let found = listed(Name::Long(hash)).or_else(|| listed(Name::Short(short(hash))));
        found.map_or(floor_position(self.floor_ms), |at| self.entries[at].position)
    }

    /// Reads what stands behind `v1.`.
    pub(super) fn parse_body(body: &str) -> Option<Self> {
        let (floor_ms, mut rest) = base62::split_number(body.as_bytes())?;
        let floor = floor_position(floor_ms);
        let mut entries: Vec<Entry> = Vec::new();
        while !rest.is_empty() {
            let (entry, behind) = Entry::split(rest, floor_ms)?;
            let ascending = entries.last().is_none_or(|last| last.name < entry.name);
            if !ascending || entry.position <= floor {
                return None;
            }
            entries.push(entry);
            rest = behind;
        }
        Some(Self { floor_ms, entries: entries.into() })
    }
}

impl Entry {
    /// Takes one entry off the front of `text`.
    fn split(text: &[u8], floor_ms: u64) -> Option<(Self, &[u8])> {
        let (name, rest) = match text.split_first()? {
            (b'.', rest) => {
                let (digits, rest) = rest.split_at_checked(Name::SHORT_DIGITS)?;
                (Name::Short(base62::read(digits)?), rest)
            }
            (b'~', rest) => {
                let (digits, rest) = rest.split_at_checked(Name::LONG_DIGITS)?;
                (Name::Long(base62::read(digits)?), rest)
            }
            _ => return None,
        };
        let (delta_ms, rest) = base62::split_number(rest)?;
        let (seq, rest) = match rest.split_first() {
            Some((b'-', rest)) => base62::split_number(rest).filter(|(seq, _)| *seq != 0)?,
            _ => (0, rest),
        };
        Some((Self { name, position: EventId::new(floor_ms.checked_add(delta_ms)?, seq) }, rest))
    }
}

impl Name {
    const SHORT_DIGITS: usize = 6;
    const LONG_DIGITS: usize = 11;
}

fn name(hash: u64, topics_of_that_short_name: usize) -> Name {
    if topics_of_that_short_name == 1 { Name::Short(short(hash)) } else { Name::Long(hash) }
}

fn short(hash: u64) -> u64 {
    const SHORT_NAMES: u64 = 62_u64.pow(6);
    hash % SHORT_NAMES
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv).
fn hash(topic: &Topic) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    topic.as_str().bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

impl fmt::Display for VectorCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.", Self::VERSION)?;
        base62::write_number(self.floor_ms, f)?;
        for Entry { name, position } in &self.entries {
            let (mark, number, width) = match name {
                Name::Short(short) => (".", short, Name::SHORT_DIGITS),
                Name::Long(hash) => ("~", hash, Name::LONG_DIGITS),
            };
            f.write_str(mark)?;
            base62::write_fixed(*number, width, f)?;
            base62::write_number(position.ms - self.floor_ms, f)?;
            if position.seq != 0 {
                f.write_str("-")?;
                base62::write_number(position.seq, f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
