//! Event ids: the entry ids of Redis streams.

use std::fmt;
use std::str::FromStr;

/// The id that Redis gave an event: `<ms>-<seq>`, milliseconds of Redis's clock and a sequence number.
///
/// Ids of one topic grow strictly; [`EventId::ZERO`] stands before all of them. Source: Redis, "Streams",
/// entry ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// Milliseconds since the Unix epoch by the clock of Redis.
    pub ms: u64,
    /// Distinguishes the events of one millisecond.
    pub seq: u64,
}

/// A text that is not `<ms>-<seq>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event id is <ms>-<seq>, two decimal numbers below 2^64 such as 1700000000000-0")]
pub struct EventIdError;

impl EventId {
    /// Where a topic without events stands.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };
    /// No event has a greater id.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// An id of the two numbers.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The smallest id of the moment `ms`: a range that begins with it holds every event from then on.
    #[must_use]
    pub const fn at(ms: u64) -> Self {
        Self { ms, seq: 0 }
    }

    /// The latest moment of which no id is greater than this one. Milliseconds.
    #[must_use]
    pub const fn complete_ms(self) -> u64 {
        if self.seq == u64::MAX { self.ms } else { self.ms.saturating_sub(1) }
    }

    /// The id just before this one, [`EventId::ZERO`] having none before it but itself.
    #[must_use]
    pub const fn before(self) -> Self {
        match (self.ms, self.seq) {
            (0, 0) => Self::ZERO,
            (ms, 0) => Self { ms: ms - 1, seq: u64::MAX },
            (ms, seq) => Self { ms, seq: seq - 1 },
        }
    }

    /// The id just after this one, [`EventId::MAX`] having none after it but itself.
    #[must_use]
    pub const fn after(self) -> Self {
        match (self.ms, self.seq) {
            (u64::MAX, u64::MAX) => Self::MAX,
            (ms, u64::MAX) => Self { ms: ms + 1, seq: 0 },
            (ms, seq) => Self { ms, seq: seq + 1 },
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let (ms, seq) = text.split_once('-').ok_or(EventIdError)?;
        Ok(Self { ms: decimal(ms)?, seq: decimal(seq)? })
    }
}

/// Digits only: `u64::from_str` alone would take a leading `+`.
fn decimal(text: &str) -> Result<u64, EventIdError> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EventIdError);
    }
    text.parse().map_err(|_| EventIdError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for id in [EventId::ZERO, EventId::new(1_700_000_000_000, 7), EventId::MAX] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "-", "1", "1-", "-1", "+1-0", "1-0-0", "1-0 ", "0x1-0", "18446744073709551616-0"] {
            assert_eq!(text.parse::<EventId>(), Err(EventIdError), "{text:?}");
        }
    }

    #[test]
    fn neighbours_are_adjacent() {
        for id in [EventId::new(5, 0), EventId::new(5, 9), EventId::new(5, u64::MAX)] {
            assert!(id.before() < id && id < id.after());
            assert_eq!(id.before().after(), id);
            assert_eq!(id.after().before(), id);
        }
        assert_eq!(EventId::ZERO.before(), EventId::ZERO);
        assert_eq!(EventId::MAX.after(), EventId::MAX);
    }
}
