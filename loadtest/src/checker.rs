//! The proof of continuity: every stream's view of every topic it follows is a lane, and a lane must see the
//! running numbers of its topic one by one. What is skipped counts as lost until it turns up late (then it was
//! reordered); what was seen before counts as repeated. A lane in order costs sixteen bytes and a comparison.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One topic as one stream sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    /// The topic's index.
    pub(crate) topic: u32,
    /// The number that must come next; [`Lane::ANY`] takes the first that comes as the start.
    pub(crate) next: u64,
}

impl Lane {
    /// The `next` of a lane that joins at an unknown point.
    pub(crate) const ANY: u64 = 0;
}

/// What the lanes of a process saw, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Events that were new to their lane.
    pub(crate) delivered: u64,
    /// Numbers that were passed over and have not come.
    pub(crate) lost: u64,
    /// Events that the lane had already.
    pub(crate) repeated: u64,
    /// Events that came behind a later one.
    pub(crate) reordered: u64,
    /// Events of a topic that the stream did not ask for, or that no load published.
    pub(crate) foreign: u64,
}

impl Tally {
    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            delivered: self.delivered - earlier.delivered,
            lost: self.lost.saturating_sub(earlier.lost),
            repeated: self.repeated - earlier.repeated,
            reordered: self.reordered - earlier.reordered,
            foreign: self.foreign - earlier.foreign,
        }
    }

    /// Adds the tally of another process.
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
    }
}

/// All lanes of a process.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    lanes: Vec<Lane>,
    /// Numbers passed over, by lane; only lanes that lost something have an entry.
    missing: HashMap<usize, Vec<Range<u64>>>,
    tally: Tally,
}

impl Checker {
    /// Adds a lane and returns its index.
    pub(crate) fn add(&mut self, lane: Lane) -> usize {
        self.lanes.push(lane);
        self.lanes.len() - 1
    }

    /// The tally so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// The lane among `lanes` follows `topic` and sees its event `number`. Events for no such lane are foreign.
    #[inline]
    pub(crate) fn see(&mut self, lanes: Range<usize>, topic: u32, number: u64) {
        let first = lanes.start;
        let Some(offset) = self.lanes[lanes].iter().position(|lane| lane.topic == topic) else {
            return self.foreign();
        };
        let lane = &mut self.lanes[first + offset];
        if number == lane.next {
            lane.next += 1;
            self.tally.delivered += 1;
        } else {
            self.out_of_turn(first + offset, number);
        }
    }

    /// An event that is no load's.
    pub(crate) fn foreign(&mut self) {
        self.tally.foreign += 1;
    }

    /// The stream begins anew at an unknown point, because the server gave it no cursor to resume from.
    pub(crate) fn forget(&mut self, lanes: Range<usize>) {
        for lane in &mut self.lanes[lanes] {
            lane.next = Lane::ANY;
        }
    }

    /// How many events `lanes` still lack when the last numbers of the topics are `last`.
    pub(crate) fn behind(&self, lanes: Range<usize>, last: &[u64]) -> u64 {
        self.lanes[lanes]
            .iter()
            .filter(|lane| lane.next != Lane::ANY)
            .map(|lane| (last.get(lane.topic as usize).copied().unwrap_or(0) + 1).saturating_sub(lane.next))
            .sum()
    }

    #[cold]
    fn out_of_turn(&mut self, index: usize, number: u64) {
        let lane = &mut self.lanes[index];
        if lane.next == Lane::ANY {
            lane.next = number + 1;
            self.tally.delivered += 1;
        } else if number > lane.next {
            self.tally.lost += number - lane.next;
            self.tally.delivered += 1;
            self.missing.entry(index).or_default().push(lane.next..number);
            lane.next = number + 1;
        } else if self.missing.get_mut(&index).is_some_and(|holes| fill(holes, number)) {
            self.tally.lost -= 1;
            self.tally.reordered += 1;
            self.tally.delivered += 1;
        } else {
            self.tally.repeated += 1;
        }
    }
}

/// Takes `number` out of `holes`; `false` when it is in none.
fn fill(holes: &mut Vec<Range<u64>>, number: u64) -> bool {
    let Some(at) = holes.iter().position(|hole| hole.contains(&number)) else {
        return false;
    };
    let hole = holes.swap_remove(at);
    holes.extend([hole.start..number, number + 1..hole.end].into_iter().filter(|part| !part.is_empty()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `numbers` to one lane that expects 1 next.
    fn check(numbers: &[u64]) -> (Checker, Tally) {
        let mut checker = Checker::default();
        checker.add(Lane { topic: 0, next: 1 });
        for number in numbers {
            checker.see(0..1, 0, *number);
        }
        let tally = checker.tally();
        (checker, tally)
    }

    #[test]
    fn an_unbroken_run_is_clean() {
        let (checker, tally) = check(&[1, 2, 3, 4]);
        assert_eq!(tally, Tally { delivered: 4, ..Tally::default() });
        assert_eq!(checker.behind(0..1, &[4]), 0);
    }

    #[test]
    fn a_planted_loss_is_found() {
        assert_eq!(check(&[1, 2, 5, 6]).1, Tally { delivered: 4, lost: 2, ..Tally::default() });
    }

    #[test]
    fn a_loss_at_the_end_is_found_by_the_last_number() {
        assert_eq!(check(&[1, 2]).0.behind(0..1, &[5]), 3);
        assert_eq!(check(&[]).0.behind(0..1, &[5]), 5);
    }

    #[test]
    fn a_planted_repeat_is_found() {
        assert_eq!(check(&[1, 2, 2, 1, 3]).1, Tally { delivered: 3, repeated: 2, ..Tally::default() });
    }

    #[test]
    fn a_planted_reorder_is_found_and_is_no_loss() {
        assert_eq!(check(&[1, 3, 2, 4]).1, Tally { delivered: 4, reordered: 1, ..Tally::default() });
        assert_eq!(check(&[1, 5, 3, 2, 4]).1, Tally { delivered: 5, reordered: 3, ..Tally::default() });
    }

    #[test]
    fn a_late_event_that_comes_twice_was_repeated_once() {
        let expected = Tally { delivered: 3, reordered: 1, repeated: 1, ..Tally::default() };
        assert_eq!(check(&[1, 3, 2, 2]).1, expected);
    }

    #[test]
    fn an_event_of_another_topic_is_foreign() {
        let mut checker = Checker::default();
        checker.add(Lane { topic: 4, next: 1 });
        checker.see(0..1, 5, 1);
        assert_eq!(checker.tally(), Tally { foreign: 1, ..Tally::default() });
    }

    #[test]
    fn an_unknown_start_is_taken_as_it_comes_and_then_held_to() {
        let mut checker = Checker::default();
        checker.add(Lane { topic: 0, next: Lane::ANY });
        assert_eq!(checker.behind(0..1, &[41]), 0, "nothing is owed to a lane that has not begun");
        for number in [41, 42, 44] {
            checker.see(0..1, 0, number);
        }
        assert_eq!(checker.tally(), Tally { delivered: 3, lost: 1, ..Tally::default() });
    }
}
