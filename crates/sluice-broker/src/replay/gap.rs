//! What is told of events that nobody can be given any more.

use sluice_wire::{EventId, Topic};

use super::Start;
use super::judge::{anew, vouched};

/// Why events may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The log was trimmed beyond the position.
    Trimmed,
    /// The log lost its newest events, among them ones that were seen: Redis went back in time.
    Rewound,
    /// The whole log went: it expired or was deleted.
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

impl Gap {
    /// What a reader at `start` is told where the topic has no log and an earlier one had entries up to `past`. `None`
    /// if it lacks none of them, or saw an event of that log, which is to be judged by a replay.
    #[must_use]
    pub fn of_past(topic: &Topic, start: Start, past: EventId) -> Option<Self> {
        let Start::Seen { id, floor_ms } = start else { return None };
        let saw_none = id == EventId::ZERO || id.seq == u64::MAX;
        let possible = anew(past, vouched(id, floor_ms)).filter(|_| saw_none)?;
        Some(Self { topic: topic.clone(), from: id, to: past, reason: GapReason::Expired, possible })
    }
}
