//! A soak under foreign commands: real nodes, honest publishers and clients, and beside them somebody who writes to
//! Redis whatever Redis takes. After each sequence of commands everything must be well again.
//!
//! The commands come from the seed and the number of the sequence alone, so a sequence can be played again by itself.
//! Processes and kernels keep their own time; the journal of a failure says what was really sent, and when.

mod act;
mod checks;
mod command;
mod cpu;
mod reader;
mod report;
mod sequence;
mod stage;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use self::report::{SoakFailure, SoakReport};

use self::sequence::Crowd;
use self::stage::Stage;
use crate::experiment::Topology;

const TOPICS: usize = 3;
/// Sequences on one installation; the next one is another variant.
const SEQUENCES: u64 = 20;

/// What shall be done; [`Soak::run`] does it.
#[derive(Debug, Clone)]
pub struct Soak {
    binary: PathBuf,
    script: PathBuf,
    seed: u64,
    topology: Topology,
    sequences: Range<u64>,
    within: Duration,
    arrives_within: Duration,
    failures_max: usize,
}

impl Soak {
    /// A soak of ten sequences with the `sluice` binary and its `publish.lua`, on one redis-server.
    #[must_use]
    pub fn new(binary: impl AsRef<Path>, script: impl AsRef<Path>, seed: u64) -> Self {
        Self {
            binary: binary.as_ref().to_owned(),
            script: script.as_ref().to_owned(),
            seed,
            topology: Topology::Standalone,
            sequences: 0..10,
            within: Duration::MAX,
            arrives_within: Duration::from_secs(5),
            failures_max: 1,
        }
    }

    /// Where events live.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// The sequences to play, by number: one alone plays a failure again.
    #[must_use]
    pub fn sequences(mut self, sequences: Range<u64>) -> Self {
        self.sequences = sequences;
        self
    }

    /// Begins no further sequence after so long.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// How long the last event of a sequence may take to every stream: 5 seconds unless said otherwise.
    #[must_use]
    pub fn arrives_within(mut self, within: Duration) -> Self {
        self.arrives_within = within;
        self
    }

    /// Goes on after failures, each time with a new installation, up to so many; 1 unless said otherwise.
    #[must_use]
    pub fn failures_max(mut self, failures_max: usize) -> Self {
        self.failures_max = failures_max;
        self
    }

    /// Plays the sequences; `said` is told a line about each. Errors are what kept it from being done; failures of
    /// what is tested stand in the report.
    pub async fn run(&self, mut said: impl FnMut(&str)) -> Result<SoakReport> {
        let mut report = SoakReport::new(self.seed, self.topology);
        let began = Instant::now();
        let mut installed: Option<(Stage, Crowd)> = None;
        for sequence in self.sequences.clone() {
            if began.elapsed() >= self.within || report.failures.len() >= self.failures_max {
                break;
            }
            if sequence % SEQUENCES == 0 {
                installed = None;
            }
            let (mut stage, mut crowd) = match installed.take() {
                Some(installed) => installed,
                None => self.install(sequence).await.with_context(|| format!("seed {}", self.seed))?,
            };
            let played = self.play(&mut stage, &mut crowd, sequence).await;
            said(&format!("{} {sequence:4}: {played}", self.topology));
            report.add(played);
            if report.failures.last().is_some_and(|failure| failure.sequence == sequence) {
                // What a fault left behind would be blamed on the sequences after it.
                crowd.leave().await;
                continue;
            }
            installed = Some((stage, crowd));
        }
        if let Some((_stage, crowd)) = installed {
            crowd.leave().await;
        }
        Ok(report)
    }

    async fn install(&self, sequence: u64) -> Result<(Stage, Crowd)> {
        let variant = (sequence / SEQUENCES).wrapping_add(self.seed);
        let stage = Stage::set(&self.binary, self.topology, TOPICS, variant).await?;
        let crowd = Crowd::gather(&stage);
        Ok((stage, crowd))
    }
}
