//! What is kept of one topic, and how tasks name it.

use sluice_wire::Topic;

use crate::continuity::Continuity;
use crate::follower::open::Opening;

/// One topic. Small: a node may have a hundred thousand of them.
pub(super) struct Entry {
    pub(super) phase: Phase,
    pub(super) followers: u32,
    /// The epoch of the last time that its announcements were lost, or came again.
    pub(super) since: u32,
    /// Tells this entry from an earlier one of the same topic, for tasks that come back to it.
    pub(super) ticket: u32,
    /// It was found level with its log since then.
    pub(super) verified: bool,
    /// Its announcements do not come.
    pub(super) lost: bool,
    /// Stands in `recent`.
    pub(super) recent: bool,
}

impl Entry {
    /// Whether something asked in `epoch` says how the topic stands.
    pub(super) fn holds_since(&self, epoch: u32) -> bool {
        epoch >= self.since
    }

    pub(super) fn is_verified(&self) -> bool {
        !self.lost && self.verified
    }
}

pub(super) enum Phase {
    Opening(Box<Opening>),
    Active(Continuity),
}

/// A topic that is to be opened; it names the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::follower) struct Wanted {
    pub(in crate::follower) topic: Topic,
    pub(in crate::follower) ticket: u32,
}

/// A topic whose log is to be read, by one task at a time. It names the entry: one that was forgotten and
/// followed anew has a hole of its own, and two tasks that read one log would hand its events on twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::follower) struct Hole {
    pub(in crate::follower) topic: Topic,
    pub(in crate::follower) ticket: u32,
}
