//! What came out of an experiment: a row of the table, and a verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Fault, Topology};
use crate::continuity::Continuity;

/// How long a fault was felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// What struck.
    pub fault: Fault,
    /// From the end of the fault (its beginning, where nothing puts an end to it: a killed gateway, a killed primary
    /// that is replaced) until every stream had, of each of its topics, an event that was published after it.
    pub took: Duration,
}

/// The sum of an experiment.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What replays it.
    pub seed: u64,
    /// Where events lived.
    pub topology: Topology,
    /// The faults, in order.
    pub recoveries: Vec<Recovery>,
    /// What was published and what became of it.
    pub continuity: Continuity,
    /// Gaps told, by reason, over all streams.
    pub gaps: BTreeMap<String, usize>,
    /// How often clients had to come back, over all streams.
    pub reconnections: usize,
    /// Whether everything due had arrived within the deadline.
    pub complete: bool,
}

impl Outcome {
    /// The heading that goes above the rows.
    pub const HEADING: &str = "| fault | Redis | published | acknowledged | delivered | lost | repeated | reordered | lost by Redis | untold | recovered in |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

    /// An error that says what is wrong, and how to see it again, unless nothing was lost, repeated or reordered and
    /// whatever Redis itself lost was told; and no gap was told where Redis cannot have lost anything.
    pub fn verdict(&self) -> Result<()> {
        let replay = || {
            let faults: Vec<_> = self.recoveries.iter().map(|recovery| recovery.fault.to_string()).collect();
            format!("seed {}: {}\n{}\n{self}", self.seed, faults.join(", "), Self::HEADING)
        };
        self.continuity.assert_exact().with_context(replay)?;
        ensure!(self.complete, "something arrived too late\n{}", replay());
        let may_rewind = self.recoveries.iter().any(|recovery| recovery.fault.may_rewind(self.topology));
        let gaps = &self.gaps;
        ensure!(may_rewind || gaps.is_empty(), "gaps where Redis lost nothing: {gaps:?}\n{}", replay());
        let lost = self.continuity.lost_by_redis;
        ensure!(may_rewind || lost == 0, "Redis or the publisher lost {lost} events\n{}", replay());
        let reasons = gaps.keys().all(|reason| reason == "rewound");
        ensure!(reasons, "gaps for other reasons than a rewind: {gaps:?}\n{}", replay());
        Ok(())
    }
}

/// One row of the table under [`Outcome::HEADING`].
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = match &self.recoveries[..] {
            [] => "none".to_owned(),
            [one] => one.fault.to_string(),
            many => format!("{} faults in turn", many.len()),
        };
        let worst = self.recoveries.iter().map(|recovery| recovery.took).max().unwrap_or_default();
        let Continuity {
            published,
            acknowledged,
            delivered,
            lost,
            repeated,
            reordered,
            lost_by_redis,
            untold,
            ..
        } = self.continuity;
        write!(
            f,
            "| {faults} | {} | {published} | {acknowledged} | {delivered} | {lost} | {repeated} | {reordered} | \
             {lost_by_redis} | {untold} | {:.2} s |",
            self.topology,
            worst.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(fault: Fault, topology: Topology, continuity: Continuity, gaps: &[(&str, usize)]) -> Outcome {
        Outcome {
            seed: 7,
            topology,
            recoveries: vec![Recovery { fault, took: Duration::from_millis(1_234) }],
            continuity: Continuity { delivered: 1, ..continuity },
            gaps: gaps.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            reconnections: 0,
            complete: true,
        }
    }

    #[test]
    fn only_what_redis_may_lose_excuses_a_gap() {
        let lost = Continuity { lost_by_redis: 2, ..Continuity::default() };
        let told = [("rewound", 3)];
        let verdict = |fault, topology| outcome(fault, topology, lost.clone(), &told).verdict();
        verdict(Fault::PrimaryKilled, Topology::Sentinel).unwrap();
        verdict(Fault::Flushed, Topology::Standalone).unwrap();
        assert!(verdict(Fault::PrimaryKilled, Topology::Standalone).is_err());
        assert!(verdict(Fault::FailoverByCommand, Topology::Cluster).is_err());
        let false_alarm = outcome(Fault::LinkCut, Topology::Tls, Continuity::default(), &told);
        assert!(false_alarm.verdict().is_err());
        let elsewhere = outcome(Fault::Flushed, Topology::Tls, lost, &[("trimmed", 1)]);
        assert!(elsewhere.verdict().is_err());
    }

    #[test]
    fn faults_of_any_kind_fail_and_name_the_seed() {
        let zero = Continuity::default;
        for bad in [
            Continuity { lost: 1, ..zero() },
            Continuity { repeated: 1, ..zero() },
            Continuity { reordered: 1, ..zero() },
            Continuity { foreign: 1, ..zero() },
            Continuity { untold: 1, ..zero() },
        ] {
            let error = outcome(Fault::Flushed, Topology::Tls, bad, &[]).verdict().unwrap_err();
            assert!(format!("{error:#}").contains("seed 7: FLUSHALL"), "{error:#}");
        }
        let late = Outcome { complete: false, ..outcome(Fault::LinkCut, Topology::Tls, zero(), &[]) };
        assert!(late.verdict().is_err());
    }

    #[test]
    fn a_row_has_every_column() {
        let row = outcome(Fault::LinkCut, Topology::Tls, Continuity::default(), &[]).to_string();
        let columns = Outcome::HEADING.lines().next().unwrap_or_default().matches('|').count();
        assert_eq!((row.matches('|').count(), row.contains("1.23 s")), (columns, true), "{row}");
    }
}
