//! The publishing of a step: several steady flows on one schedule, held back when too much is on its way.

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::clock::SECOND;
use crate::pacing::Pace;
use crate::scenario::{Publish, Topics};

/// One steady flow: its topics in turn.
struct Stretch {
    pace: Pace,
    topics: std::ops::Range<u32>,
    next: u32,
}

/// All flows of a step. Pure: the caller names the time and does the publishing.
pub(super) struct Flow {
    stretches: Vec<Stretch>,
    withheld: u64,
    lateness_us: Histogram<u64>,
}

impl Flow {
    /// The flows of `publishes` from `now` on.
    pub(super) fn new(publishes: &[Publish], topics: &Topics, now: u64) -> Result<Self> {
        let stretch = |publish: &Publish| {
            let topics = topics.indexes(&publish.topic).unwrap_or(0..0);
            Stretch { pace: Pace::new(publish.per_second, now), next: topics.start, topics }
        };
        let lateness_us = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        Ok(Self { stretches: publishes.iter().map(stretch).collect(), withheld: 0, lateness_us })
    }

    /// Takes the topics whose next event is due, one entry an event.
    pub(super) fn take_due(&mut self, now: u64, due: &mut Vec<u32>) {
        due.clear();
        for stretch in &mut self.stretches {
            let count = stretch.pace.due(now);
            for _ in 0..count {
                let late = now.saturating_sub(stretch.pace.next_ns().unwrap_or(now));
                self.lateness_us.saturating_record(late / 1000);
                stretch.pace.take(1);
                due.push(stretch.next);
                stretch.next += 1;
                if stretch.next >= stretch.topics.end {
                    stretch.next = stretch.topics.start;
                }
            }
        }
    }

    /// Lets pass what is due without publishing it.
    pub(super) fn withhold_due(&mut self, now: u64) {
        for stretch in &mut self.stretches {
            let count = stretch.pace.due(now);
            stretch.pace.take(count);
            self.withheld += count;
        }
    }

    /// When the next event is due, within a second of `now`.
    pub(super) fn next_ns(&self, now: u64) -> u64 {
        self.stretches
            .iter()
            .filter_map(|stretch| stretch.pace.next_ns())
            .min()
            .unwrap_or(u64::MAX)
            .min(now + SECOND)
    }

    /// Events that were let pass.
    pub(super) fn withheld(&self) -> u64 {
        self.withheld
    }

    /// The 99th percentile of how late events were taken, in milliseconds.
    pub(super) fn late_p99_ms(&self) -> f64 {
        crate::results::ms(self.lateness_us.value_at_quantile(0.99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn flow() -> Flow {
        let text = r#"
            name = "f"
            about = ""
            deadline_s = 9
            [[parts]]
            name = "p"
            streams = [{ name = "g", count = 3, topics = ["own/{stream}", "all"] }]
            steps = [{ name = "s", seconds = 1, publish = [
                { topic = "own/{stream}", per_second = 4 }, { topic = "all", per_second = 2 }] }]
        "#;
        let part = Scenario::parse(text, &[]).unwrap().parts.remove(0);
        Flow::new(&part.steps[0].publish, &Topics::of(&part), 0).unwrap()
    }

    #[test]
    fn flows_keep_their_own_pace_and_go_round_their_topics() {
        let (mut flow, mut due) = (flow(), Vec::new());
        flow.take_due(0, &mut due);
        assert_eq!(due, [0, 3]);
        assert_eq!(flow.next_ns(0), SECOND / 4);
        flow.take_due(SECOND, &mut due);
        assert_eq!(due, [1, 2, 0, 1, 3, 3]);
    }

    #[test]
    fn what_is_withheld_is_not_made_up_for() {
        let (mut flow, mut due) = (flow(), Vec::new());
        flow.withhold_due(SECOND);
        assert_eq!(flow.withheld(), 8);
        flow.take_due(SECOND, &mut due);
        assert!(due.is_empty());
    }
}
