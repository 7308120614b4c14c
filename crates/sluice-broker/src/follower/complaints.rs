//! What is wrong on topics that others write to, without letting them fill the log: one line for the first
//! fault of a topic, then one each time the count has grown tenfold.

use std::collections::HashMap;

use sluice_wire::EventId;
use tracing::warn;

/// Topics that are counted each for itself; what further ones do is counted together.
const TOPICS_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Complaints {
    counts: HashMap<Box<str>, u64>,
    others: u64,
    total: u64,
}

impl Complaints {
    /// Notes `times` faults of `topic` and says so if it is time to.
    pub(super) fn note(&mut self, topic: &str, times: usize, what: &str) {
        self.total += times as u64;
        let full = self.counts.len() >= TOPICS_MAX;
        let count = match self.counts.get_mut(topic) {
            Some(count) => count,
            None if full => &mut self.others,
            None => self.counts.entry(topic.into()).or_default(),
        };
        let before = *count;
        *count += times as u64;
        if magnitude(before) < magnitude(*count) {
            warn!(topic, count = *count, "skipped a message or an entry that is no event: {what}");
        }
    }

    /// Notes the entries among `skipped` that lie behind `position`.
    pub(super) fn note_skipped(&mut self, topic: &str, skipped: &[EventId], position: EventId) {
        let times = skipped.iter().filter(|id| **id > position).count();
        if times > 0 {
            self.note(topic, times, "an entry of its log has no readable data");
        }
    }

    /// Faults of all topics.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

/// The number of decimal digits.
fn magnitude(count: u64) -> u32 {
    count.checked_ilog10().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_at_the_first_and_at_each_power_of_ten() {
        let spoken = (1..=1000_u64).filter(|n| magnitude(n - 1) < magnitude(*n));
        assert_eq!(spoken.collect::<Vec<_>>(), [1, 10, 100, 1000]);
    }

    #[test]
    fn holds_a_bounded_number_of_topics() {
        let mut complaints = Complaints::default();
        for n in 0..TOPICS_MAX + 50 {
            complaints.note(&format!("t{n}"), 2, "test");
        }
        assert_eq!(complaints.counts.len(), TOPICS_MAX);
        assert_eq!(complaints.others, 100);
        assert_eq!(complaints.total(), 2 * (TOPICS_MAX as u64 + 50));
    }
}
