//! A sweep's walk over the slots of a shard, a bounded part of it a turn: the streams of principals that are to
//! be ended get their last words.
//!
//! One walk serves whoever was sentenced before it came by; a stream that is not in a slot yet is asked about
//! when it arrives. So a walk that was asked for while one is under way only begins anew.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::poller::{Sockets, finish};
use crate::core::{Core, Dismissal, Housekeeping, LastWords};

/// Ends of one turn, so that others are served meanwhile.
const ENDS_PER_TURN: usize = 64;
/// Slots looked at in one turn.
const LOOKS_PER_TURN: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The slot that is next, and behind which the walk is through; both 0 when there is none.
    hand: usize,
    end: usize,
    /// When those who take nothing are cut off; `None` when nobody was found who does.
    cut_at: Option<Instant>,
    /// How long they are given.
    grace: Duration,
    /// This walk is the one that cuts off.
    last: bool,
}

impl Sweep {
    /// Begins a walk over `extent` slots.
    pub(super) fn begin(&mut self, now: Instant, grace: Duration, extent: usize) {
        self.grace = if self.is_under_way() { self.grace.min(grace) } else { grace };
        (self.hand, self.end) = (0, extent);
        self.last |= self.cut_at.take_if(|cut_at| now >= *cut_at).is_some();
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.cut_at
    }

    /// Whether a walk is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.hand < self.end
    }

    /// Goes on.
    pub(super) fn step(
        &mut self,
        now: Instant,
        core: &mut Core<OwnedFd>,
        rules: Housekeeping,
        sentence: impl Fn(u32) -> Option<LastWords>,
        sockets: &mut Sockets,
    ) {
        if !self.is_under_way() && self.cut_at.take_if(|cut_at| now >= *cut_at).is_some() {
            (self.hand, self.end, self.last) = (0, core.extent(), true);
        }
        let until = self.end.min(self.hand.saturating_add(LOOKS_PER_TURN));
        let mut ends = 0;
        while self.hand < until && ends < ENDS_PER_TURN {
            let index = self.hand;
            self.hand += 1;
            let principal = core.principal_at(index).filter(|principal| *principal != 0);
            let Some(words) = principal.and_then(&sentence) else { continue };
            match core.dismiss(index, self.last, rules, |_| words, sockets) {
                Dismissal::Said(key) => {
                    ends += 1;
                    if let Some(socket) = core.socket(key) {
                        finish(socket);
                    }
                }
                Dismissal::Cut => ends += 1,
                Dismissal::Waits => {
                    self.cut_at.get_or_insert(now + self.grace);
                }
                Dismissal::Nobody => {}
            }
        }
        if !self.is_under_way() {
            (self.hand, self.end, self.last) = (0, 0, false);
        }
    }
}
