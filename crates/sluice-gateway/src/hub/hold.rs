//! A stream's hold on a feed.

use std::sync::Arc;

use sluice_fanout::{FeedId, TopicSet};

use super::Hub;

/// A stream's hold on a feed. The feed lives at least as long.
#[derive(Debug)]
pub(crate) struct FeedHold {
    pub(super) hub: Hub,
    pub(super) feed: FeedId,
    pub(super) set: Arc<TopicSet>,
    /// The stream is in a slot, which gives the hold back.
    pub(super) kept: bool,
}

impl FeedHold {
    /// The feed's number.
    pub(crate) fn feed(&self) -> FeedId {
        self.feed
    }

    /// The feed's topics.
    pub(crate) fn set(&self) -> &Arc<TopicSet> {
        &self.set
    }

    /// Leaves the hold to a slot: [`Hub::leave`] gives it back, [`Hub::resume`] takes it up again.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for FeedHold {
    fn drop(&mut self) {
        if !self.kept {
            self.hub.leave(self.feed);
        }
    }
}
