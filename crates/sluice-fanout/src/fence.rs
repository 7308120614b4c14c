//! Fences: how a stream that was fed from the log comes into a ring without losing or repeating anything.
//!
//! A fence is one moment of a feed: the number its next frame will have, and the positions before it. A
//! stream that is given, from windows or the log, exactly the events between its own positions and those of
//! the fence may then stand at that number. If the ring has moved past it meanwhile, a new fence is taken.

use sluice_wire::EventId;

use crate::feed::Feed;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The number of the first frame behind the fence.
    pub sequence: u64,
    /// Where each topic of the set stands before that frame.
    pub positions: Box<[EventId]>,
    /// Nothing with an id up to this moment is missing before that frame. Milliseconds.
    pub floor_ms: u64,
}

impl Fence {
    /// The end of `feed`'s ring.
    #[must_use]
    pub fn of(feed: &Feed) -> Self {
        Self { sequence: feed.ring().next(), positions: feed.positions().into(), floor_ms: feed.floor_ms() }
    }
}
