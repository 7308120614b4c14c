//! Which topics are looked at next: half of the budget for those that had events, half for those that have
//! waited longest.

use std::collections::HashSet;

use sluice_wire::{EventId, Topic};

use super::{Entry, Phase, Topics};

impl Topics {
    /// Up to `budget` topics to be compared with their logs, and their positions; those that `skipped` says
    /// cannot be read now are left out, so that the budget is for the others.
    pub(in crate::follower) fn plan(
        &mut self,
        budget: usize,
        skipped: &dyn Fn(&Topic) -> bool,
    ) -> Vec<(Topic, EventId)> {
        let all = self.entries.len() <= budget;
        let mut planned = Vec::with_capacity(budget.min(self.entries.len()));
        let for_recent = if all { 0 } else { budget / 2 };
        while let Some(topic) = self.recent.pop_front() {
            if !all && planned.len() >= for_recent {
                self.recent.push_front(topic);
                break;
            }
            let Some(entry) = self.entries.get_mut(&topic) else { continue };
            if !std::mem::take(&mut entry.recent) || all {
                continue;
            }
            if let Phase::Active(continuity) = &entry.phase
                && !continuity.is_reading()
                && !skipped(&topic)
            {
                planned.push((topic, continuity.position()));
            }
        }
        self.plan_in_turn(&mut planned, budget, skipped);
        planned
    }

    fn plan_in_turn(
        &mut self,
        planned: &mut Vec<(Topic, EventId)>,
        budget: usize,
        skipped: &dyn Fn(&Topic) -> bool,
    ) {
        let busy: HashSet<Topic> = planned.iter().map(|(topic, _)| topic.clone()).collect();
        // Of many that are left out one after the other, the next turn sees more: the lock is held meanwhile.
        for _ in 0..self.entries.len().min(budget.saturating_mul(4)) {
            if planned.len() >= budget {
                return;
            }
            if self.turn >= self.entries.len() {
                self.turn = 0;
            }
            let Some((topic, _)) = self.entries.get_index(self.turn) else { return };
            self.turn += 1;
            if let Some((position, false)) = self.position(topic)
                && !busy.contains(topic)
                && !skipped(topic)
            {
                planned.push((topic.clone(), position));
            }
        }
    }

    /// All open topics whose announcements come and that are not verified.
    pub(in crate::follower) fn unverified(&self) -> Vec<Topic> {
        self.entries.keys().filter(|topic| self.is_unverified(topic)).cloned().collect()
    }

    pub(in crate::follower) fn is_unverified(&self, topic: &Topic) -> bool {
        self.entries.get(topic).is_some_and(|entry| {
            matches!(entry.phase, Phase::Active(_)) && !entry.lost && !entry.is_verified()
        })
    }

    /// Whether every open topic is verified, but for those on the way from one server to another.
    pub(in crate::follower) fn are_verified(&self) -> bool {
        let open = self.entries.values().filter(|entry| matches!(entry.phase, Phase::Active(_)));
        open.filter(|entry| !entry.lost).all(Entry::is_verified)
    }

    /// Announcements of all topics come, and it was not said yet that the link is live.
    pub(in crate::follower) fn is_to_be_live(&self) -> bool {
        self.whole && !self.live
    }

    /// Of `topics`, those that a look at the log's end can verify, and their positions.
    pub(in crate::follower) fn to_verify(&self, topics: &[Topic]) -> Vec<(Topic, EventId)> {
        let wanting = topics.iter().filter(|topic| self.is_unverified(topic));
        wanting
            .filter_map(|topic| match self.position(topic) {
                Some((position, false)) => Some((topic.clone(), position)),
                _ => None,
            })
            .collect()
    }
}
