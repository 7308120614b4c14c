//! What is told of events that nobody can be given any more.

use sluice_wire::{EventId, Topic};

/// Why events may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The log was trimmed beyond the position.
    Trimmed,
    /// The log lost its newest events, among them ones that were seen: Redis went back in time.
    Rewound,
    /// The whole log expired.
    Expired,
    /// The cursor could not be read. Never found by a [`Replay`]; for those who read cursors.
    UnknownCursor,
}

impl GapReason {
    /// The reason as clients read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Rewound => "rewound",
            Self::Expired => "expired",
            Self::UnknownCursor => "unknown-cursor",
        }
    }
}

/// Events of a topic that nobody can be given any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The topic.
    pub topic: Topic,
    /// The last position before the gap.
    pub from: EventId,
    /// Where delivery goes on: what is behind this id is delivered. Smaller than `from` after a rewind, when
    /// events that survived are repeated.
    pub to: EventId,
    /// What happened.
    pub reason: GapReason,
    /// It cannot be told whether an event is missing at all.
    pub possible: bool,
}
