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

use super::names::{Name, VectorNames, hash, short};
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
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) position: EventId,
}

impl VectorCursor {
    /// The version that is written; it and the ones before it are read.
    pub const VERSION: u32 = if cfg!(feature = "next-cursor") { 2 } else { 1 };
    /// The length of the version and the longest floor.
    pub(super) const HEAD_LEN_MAX: usize = PREFIX.len() + base62::WIDTH_MAX;
    /// The length of the longest entry: a long name, the milliseconds and the sequence number.
    pub(super) const ENTRY_LEN_MAX: usize = 1 + Name::LONG_DIGITS + base62::WIDTH_MAX + 1 + base62::WIDTH_MAX;

    /// The cursor of a set of topics that stand at `positions`, when nothing up to `floor_ms` is missing in
    /// any of them.
    ///
    /// All topics of the set are to be given, those that the floor covers too: a name is short only while it
    /// is the only one of the set. If even the long names of two topics are equal, the older position
    /// stands for both, which repeats events but loses none. Who writes many cursors of one set keeps its
    /// [`VectorNames`].
    #[must_use]
    pub fn new(floor_ms: u64, positions: &[(&Topic, EventId)]) -> Self {
        let names = VectorNames::new(positions.iter().map(|(topic, _)| *topic));
        let positions: Vec<_> = positions.iter().map(|(_, position)| *position).collect();
        names.cursor(floor_ms, &positions)
    }

    /// `entries` are sorted by name, no name twice, and newer than the floor.
    pub(super) fn of_entries(floor_ms: u64, entries: Box<[Entry]>) -> Self {
        Self { floor_ms, entries }
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
        let hash = hash(topic);
        let listed = |name| self.entries.binary_search_by_key(&name, |entry| entry.name).ok();
        let found = listed(Name::Long(hash)).or_else(|| listed(Name::Short(short(hash))));
        found.map_or(floor_position(self.floor_ms), |at| self.entries[at].position)
    }

    /// Reads what stands behind the version.
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

impl fmt::Display for VectorCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.floor_ms, self.entries.iter().copied())
    }
}

/// Writes the cursor of `floor_ms` and `entries`.
pub(super) fn write_text(
    f: &mut fmt::Formatter<'_>,
    floor_ms: u64,
    entries: impl Iterator<Item = Entry>,
) -> fmt::Result {
    f.write_str(PREFIX)?;
    base62::Text::new().number(floor_ms).write(f)?;
    for Entry { name, position } in entries {
        let mut text = base62::Text::new();
        match name {
            Name::Short(short) => text.mark(b'.').fixed(short, Name::SHORT_DIGITS),
            Name::Long(hash) => text.mark(b'~').fixed(hash, Name::LONG_DIGITS),
        };
        text.number(position.ms - floor_ms);
        if position.seq != 0 {
            text.mark(b'-').number(position.seq);
        }
        text.write(f)?;
    }
    Ok(())
}

const PREFIX: &str = if cfg!(feature = "next-cursor") { "v2." } else { "v1." };

#[cfg(test)]
mod tests;
