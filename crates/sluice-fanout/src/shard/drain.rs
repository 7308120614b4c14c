//! A drain's walk over the slots of a shard, a bounded part of it a turn.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::poller::{Sockets, finish};
use crate::core::{Core, Dismissal, Housekeeping, LastWords};
use crate::pace::Pace;

/// Ends of one turn, so that a window of nothing does not hold up those who still read.
const ENDS_PER_TURN: usize = 64;
/// Slots looked at in one turn.
const LOOKS_PER_TURN: usize = 4_096;
/// When nobody takes last words, until it is tried again.
const REST: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct Drain {
    pace: Pace,
    /// The slot that is next.
    hand: usize,
    /// Slots that were passed since somebody was ended.
    passed: usize,
}

impl Drain {
    pub(super) fn new(now: Instant, window: Duration, core: &Core<OwnedFd>) -> Self {
        Self { pace: Pace::new(now, window, core.standing()), hand: 0, passed: 0 }
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Instant {
        self.pace.next()
    }

    /// Ends those who are due.
    pub(super) fn step(
        &mut self,
        now: Instant,
        core: &mut Core<OwnedFd>,
        rules: Housekeeping,
        words: impl Fn(u32) -> LastWords,
        sockets: &mut Sockets,
    ) {
        self.pace.keep(now, core.standing());
        let (mut ends, extent) = (0, core.extent());
        for _ in 0..LOOKS_PER_TURN {
            if ends == ENDS_PER_TURN || core.standing() == 0 || !self.pace.is_due(now) {
                break;
            }
            self.hand = if self.hand + 1 < extent { self.hand + 1 } else { 0 };
            match core.dismiss(self.hand, self.pace.is_over(now), rules, &words, sockets) {
                Dismissal::Nobody | Dismissal::Waits => self.passed += 1,
                dismissed => {
                    if let Dismissal::Said(key) = dismissed
                        && let Some(socket) = core.socket(key)
                    {
                        finish(socket);
                    }
                    (ends, self.passed) = (ends + 1, 0);
                    self.pace.ended(now, core.standing());
                }
            }
            if self.passed >= extent {
                self.passed = 0;
                self.pace.rest(now, REST);
            }
        }
        if core.standing() == 0 {
            self.pace.rest(now, REST);
        }
    }
}
