//! Notices on their way to the polled view. The queue holds no more than one ring may, and nothing while no feed is
//! open.

use crate::feed::RingLimits;
use crate::view::Notice;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    notices: Vec<Notice>,
    bytes: usize,
    limits: RingLimits,
    /// Feeds that are open once everything is taken in.
    feeds: usize,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new(limits: RingLimits) -> Self {
        Self { notices: Vec::new(), bytes: 0, limits, feeds: 0 }
    }

    /// Appends `notice`. Returns whether it is the first.
    pub(super) fn push(&mut self, notice: Notice) -> bool {
        match &notice {
            Notice::Open { .. } => self.feeds += 1,
            // It concerns no feed.
            _ if self.feeds == 0 => return false,
            Notice::Close { .. } => self.feeds -= 1,
            _ => {}
        }
        self.bytes += notice.frame().map_or(0, |frame| frame.chunk().len());
        self.notices.push(notice);
        self.notices.len() == 1
    }

    /// Whether it holds as much as a ring may.
    pub(super) fn is_full(&self) -> bool {
        self.notices.len() > self.limits.events_max || self.bytes > self.limits.bytes_max
    }

    /// Takes everything out, in order.
    pub(super) fn take(&mut self) -> Vec<Notice> {
        self.bytes = 0;
        std::mem::take(&mut self.notices)
    }
}
