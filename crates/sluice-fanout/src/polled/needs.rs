//! Which frames of a ring the streams and join points of a feed still need: how many of them stand at each number.
//!
//! Invariant: `counts[i]` of them stand at the number `base + i`, and the ring's frames before the least such number
//! are gone. Every operation takes constant time, apart from dropping frames, of which each is dropped once.

use std::collections::VecDeque;

use crate::ring::Ring;

/// A count for each number of a ring that somebody may stand at.
#[derive(Debug, Default)]
pub(super) struct Needs {
    base: u64,
    counts: VecDeque<u32>,
}

/// How many numbers the counts keep room for when all streams stand at the end of the ring.
const SPARE: usize = 16;

impl Needs {
    /// Counts one more that needs the frames from `sequence` on, which the ring holds.
    pub(super) fn enter(&mut self, ring: &Ring, sequence: u64) {
        self.follow(ring);
        let Some(index) = self.index(sequence) else { return };
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
    }

    /// Counts one less, and drops the frames that nobody needs any more. One that the ring has passed is not counted.
    pub(super) fn leave(&mut self, ring: &mut Ring, sequence: u64) {
        self.follow(ring);
        if let Some(count) = self.index(sequence).and_then(|index| self.counts.get_mut(index)) {
            *count = count.saturating_sub(1);
        }
        self.drop_spare_frames(ring);
    }

    /// Moves one that stands at `from` to `to`, and drops the frames that nobody needs any more.
    pub(super) fn advance(&mut self, ring: &mut Ring, from: u64, to: u64) {
        self.enter(ring, to);
        self.leave(ring, from);
    }

    /// Drops the frames that nobody needs.
    pub(super) fn drop_spare_frames(&mut self, ring: &mut Ring) {
        self.follow(ring);
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.base += 1;
        }
        if self.counts.is_empty() {
            self.base = ring.next();
        }
        while ring.base() < self.base && ring.evict().is_some() {}
        if ring.is_empty() {
            ring.clear();
        }
        if self.counts.len() <= 1 && self.counts.capacity() > SPARE {
            self.counts.shrink_to(SPARE);
        }
    }

    /// Forgets the numbers that the ring has passed: their streams find out at their next poll.
    fn follow(&mut self, ring: &Ring) {
        while self.base < ring.base() {
            self.counts.pop_front();
            self.base += 1;
            if self.counts.is_empty() {
                self.base = ring.base();
            }
        }
    }

    fn index(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.base)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_wire::sse::Frame;

    use super::*;
    use crate::ring::RingFrame;

    /// What a reader or writer of the ring does.
    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Evict,
        Enter,
        Advance(usize, u64),
        Leave(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            1 => Just(Step::Evict),
            1 => Just(Step::Enter),
            4 => (any::<usize>(), 1..9_u64).prop_map(|(who, by)| Step::Advance(who, by)),
            1 => any::<usize>().prop_map(Step::Leave),
        ]
    }

    proptest! {
        #[test]
        fn a_ring_holds_what_the_slowest_that_it_has_not_passed_needs_and_no_more(
            steps in prop::collection::vec(step(), 1..200)
        ) {
            let (mut ring, mut needs, mut places) = (Ring::default(), Needs::default(), Vec::<u64>::new());
            for step in steps {
                match step {
                    Step::Push => {
                        ring.push(RingFrame::whole(Frame::comment(""), None));
                        needs.drop_spare_frames(&mut ring);
                    }
                    Step::Evict => {
                        ring.evict();
                        needs.drop_spare_frames(&mut ring);
                    }
                    Step::Enter => {
                        places.push(ring.next());
                        needs.enter(&ring, ring.next());
                    }
                    Step::Advance(who, by) if !places.is_empty() => {
                        let who = who % places.len();
                        let from = places[who];
                        // One that was passed leaves; it does not go on.
                        if from >= ring.base() {
                            places[who] = (from + by).min(ring.next());
                            needs.advance(&mut ring, from, places[who]);
                        }
                    }
                    Step::Leave(who) if !places.is_empty() => {
                        let from = places.swap_remove(who % places.len());
                        needs.leave(&mut ring, from);
                    }
                    Step::Advance(..) | Step::Leave(_) => {}
                }
                let needed = places.iter().filter(|place| **place >= ring.base()).min();
                prop_assert_eq!(ring.base(), needed.copied().unwrap_or(ring.next()));
            }
        }
    }
}
