//! What came out of a soak.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::experiment::Topology;

/// The sum of a soak.
#[derive(Debug, Clone)]
pub struct SoakReport {
    /// What plays it again.
    pub seed: u64,
    /// Where events lived.
    pub topology: Topology,
    /// Sequences played.
    pub sequences: usize,
    /// Commands of them.
    pub commands: usize,
    /// Events given to clients.
    pub delivered: usize,
    /// Gaps told to clients.
    pub gaps: usize,
    /// The longest that the last event of a sequence took from its acknowledgement to every stream.
    pub slowest: Duration,
    /// The most time of processors that a node took in a quiet second.
    pub busiest: Duration,
    /// What failed.
    pub failures: Vec<SoakFailure>,
}

/// A sequence after which something was wrong.
#[derive(Debug, Clone)]
pub struct SoakFailure {
    /// The number of the sequence.
    pub sequence: u64,
    /// What was wrong.
    pub faults: Vec<String>,
    /// What was sent to Redis, with times and answers.
    pub journal: Vec<String>,
    /// The settings of the installation that are not the defaults of a soak.
    pub variant: String,
}

/// One sequence.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) sequence: u64,
    pub(super) commands: usize,
    pub(super) delivered: usize,
    pub(super) gaps: usize,
    pub(super) arrived: Duration,
    pub(super) busiest: Duration,
    pub(super) faults: Vec<String>,
    pub(super) journal: Vec<String>,
    pub(super) variant: String,
    pub(super) took: Duration,
}

impl SoakReport {
    pub(super) fn new(seed: u64, topology: Topology) -> Self {
        Self {
            seed,
            topology,
            sequences: 0,
            commands: 0,
            delivered: 0,
            gaps: 0,
            slowest: Duration::ZERO,
            busiest: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, played: Played) {
        self.sequences += 1;
        self.commands += played.commands;
        self.delivered += played.delivered;
        self.gaps += played.gaps;
        self.slowest = self.slowest.max(played.arrived);
        self.busiest = self.busiest.max(played.busiest);
        if !played.faults.is_empty() {
            self.failures.push(SoakFailure {
                sequence: played.sequence,
                faults: played.faults,
                journal: played.journal,
                variant: played.variant,
            });
        }
    }

    /// An error that says what was wrong and how to see it again, unless nothing was and something was shown.
    pub fn verdict(&self) -> Result<()> {
        if !self.failures.is_empty() {
            bail!("{self}");
        }
        if self.delivered == 0 {
            bail!("nothing was delivered, so nothing was shown: {self}");
        }
        Ok(())
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, seed {}: {} sequences of {} commands, {} events delivered, {} gaps told, last events in {:.2} s at most, \
             {:.0} ms of CPU in a quiet second at most, {} failures",
            self.topology,
            self.seed,
            self.sequences,
            self.commands,
            self.delivered,
            self.gaps,
            self.slowest.as_secs_f64(),
            self.busiest.as_secs_f64() * 1_000.0,
            self.failures.len()
        )?;
        for failure in &self.failures {
            write!(f, "\n\n{failure}")?;
            write!(
                f,
                "\n  again: make hands SEED={} ONLY={} SEQUENCES={}..{}",
                self.seed,
                self.topology,
                failure.sequence,
                failure.sequence + 1
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for SoakFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FAULTS_MAX: usize = 12;
        write!(f, "sequence {} ({}):", self.sequence, self.variant)?;
        for fault in self.faults.iter().take(FAULTS_MAX) {
            write!(f, "\n  {fault}")?;
        }
        if self.faults.len() > FAULTS_MAX {
            write!(f, "\n  and {} more", self.faults.len() - FAULTS_MAX)?;
        }
        write!(f, "\n  what was sent, with seconds since the beginning and answers:")?;
        for line in &self.journal {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.faults.first().map_or("ok", String::as_str);
        write!(
            f,
            "{} commands, {} delivered, {} gaps, last event in {:.2} s, {:.0} ms CPU, {:.1} s in all: {verdict}",
            self.commands,
            self.delivered,
            self.gaps,
            self.arrived.as_secs_f64(),
            self.busiest.as_secs_f64() * 1_000.0,
            self.took.as_secs_f64()
        )
    }
}
