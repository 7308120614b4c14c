//! "Publish this load under that fault": a whole installation of real processes, clients that never give up, and the
//! sum of what was published, acknowledged, delivered, lost, repeated and reordered.
//!
//! All that is left to chance (who follows what, when and whom a fault strikes) comes from one seed, which every
//! outcome and every failure names. Processes and kernels keep their own time, so a seed replays the plan, not
//! the microsecond. The judgement is the [`Ledger`]'s and exact: an event counts as acknowledged when the publisher
//! said so, and as lost by Redis when it is not in its log in the end.

mod audience;
mod fault;
mod load;
mod outcome;
mod plan;
mod servers;
mod stage;
mod strike;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::time::sleep;

pub use self::fault::Fault;
pub use self::outcome::{Outcome, Recovery};
pub(crate) use self::servers::Servers;
pub use self::servers::Topology;

use self::audience::Audience;
use self::load::Load;
use self::plan::Plan;
use self::stage::Stage;
use crate::continuity::Ledger;
use crate::deadline::eventually;

/// Longer than anything takes that works, on a machine that is busy.
const RECOVER_WITHIN: Duration = Duration::from_secs(60);
/// The load runs undisturbed for so long before the first fault and behind the last.
const CALM: Duration = Duration::from_millis(700);

/// What shall be done; [`Experiment::run`] does it.
#[derive(Debug, Clone)]
pub struct Experiment {
    binary: PathBuf,
    seed: u64,
    topology: Topology,
    gateways: usize,
    streams: usize,
    topics: usize,
    events_per_second: u32,
    plan: Plan,
    env: Vec<(String, String)>,
}

impl Experiment {
    /// An experiment with the `sluice` binary (in tests of its crate: `env!("CARGO_BIN_EXE_sluice")`).
    ///
    /// Without further words: one redis-server, two gateways, 24 streams of one to four topics, 25 events a second
    /// in each topic, and no fault.
    #[must_use]
    pub fn new(binary: impl AsRef<Path>, seed: u64) -> Self {
        Self {
            binary: binary.as_ref().to_owned(),
            seed,
            topology: Topology::Standalone,
            gateways: 2,
            streams: 24,
            topics: 4,
            events_per_second: 25,
            plan: Plan::Faults(Vec::new()),
            env: Vec::new(),
        }
    }

    /// Where events live.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// How many gateways there are.
    #[must_use]
    pub fn gateways(mut self, gateways: usize) -> Self {
        self.gateways = gateways;
        self
    }

    /// How many streams are open: every other one of a single topic, the others of several.
    #[must_use]
    pub fn streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }

    /// How many topics there are, at least one, and how many events are published to each in a second.
    #[must_use]
    pub fn load(mut self, topics: usize, events_per_second: u32) -> Self {
        (self.topics, self.events_per_second) = (topics.max(1), events_per_second.max(1));
        self
    }

    /// Strikes this fault once, after those named before.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        match &mut self.plan {
            Plan::Faults(faults) => faults.push(fault),
            Plan::Chaos(_) => self.plan = Plan::Faults(vec![fault]),
        }
        self
    }

    /// Strikes one fault after the other that the topology knows, as the seed will have it, until the time is over.
    #[must_use]
    pub fn chaos(mut self, within: Duration) -> Self {
        self.plan = Plan::Chaos(within);
        self
    }

    /// Sets an environment variable of every node.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Does it all: starts everything, publishes, strikes, waits until every stream is served again after each fault
    /// and until everything has arrived in the end. Errors are what kept it from being done; the judgement is
    /// [`Outcome::verdict`].
    pub async fn run(&self) -> Result<Outcome> {
        let run = self.run_with(Rng::with_seed(self.seed)).await;
        run.with_context(|| format!("experiment with seed {}, {}, {}", self.seed, self.topology, self.plan))
    }

    async fn run_with(&self, mut rng: Rng) -> Result<Outcome> {
        let mut stage = Stage::set(self).await?;
        let topics = self.topics();
        let ledger = Ledger::new();
        let mut audience =
            Audience::gather(&ledger, &stage.addresses(), &topics, self.streams, &mut rng).await?;
        let mut load = Load::start(&ledger, stage.door(), &topics, self.events_per_second);
        sleep(CALM).await;
        let struck = self.strike_all(&mut stage, &ledger, &mut audience, &mut load, &mut rng).await;
        let recoveries = struck.with_context(|| audience.trouble(&topics))?;
        sleep(CALM).await;
        load.stop().await?;
        stage.servers.settled().await?;
        for topic in &topics {
            let log = stage.servers.log_of(topic).await?;
            ledger
                .kept(topic, log.iter().map(String::as_str))
                .with_context(|| format!("the log of {topic}"))?;
        }
        let complete =
            eventually("the last event everywhere", RECOVER_WITHIN, async || ledger.complete()).await;
        let (gaps, reconnections) = audience.leave().await?;
        Ok(Outcome {
            seed: self.seed,
            topology: self.topology,
            recoveries,
            continuity: ledger.report(),
            gaps,
            reconnections,
            complete: complete.is_ok(),
        })
    }

    fn topics(&self) -> Vec<String> {
        (0..self.topics).map(|number| format!("t/{number}")).collect()
    }

    async fn strike_all(
        &self,
        stage: &mut Stage,
        ledger: &Ledger,
        audience: &mut Audience,
        load: &mut Load,
        rng: &mut Rng,
    ) -> Result<Vec<Recovery>> {
        let (mut recoveries, topics) = (Vec::new(), self.topics());
        let mut faults = self.plan.faults(self.topology);
        while let Some(fault) = faults.next(rng) {
            // Otherwise a fault that costs Redis its events would excuse what the last one had cost clients.
            let complete =
                eventually("everything to have arrived", RECOVER_WITHIN, async || ledger.complete());
            let complete = complete.await.with_context(|| ledger.report().details.join("\n"));
            complete.with_context(|| format!("before: {fault}"))?;
            let topic = &topics[rng.usize(..topics.len())];
            let struck = stage.strike(fault, topic, ledger, rng).await;
            struck.with_context(|| format!("striking: {fault}"))?;
            let ended = Instant::now();
            load.still_runs()?;
            audience.served_again(ledger).await.with_context(|| format!("after: {fault}"))?;
            recoveries.push(Recovery { fault, took: ended.elapsed() });
            stage.mend().await.with_context(|| format!("mending: {fault}"))?;
            if fault.may_rewind(self.topology) {
                self.compare_with_logs(stage, ledger).await?;
            }
            load.still_runs()?;
        }
        Ok(recoveries)
    }

    /// What is not in its log now was lost by Redis. (While the load runs this may hit an event of this moment; the
    /// comparison in the end sets that right.)
    async fn compare_with_logs(&self, stage: &Stage, ledger: &Ledger) -> Result<()> {
        for topic in self.topics() {
            let log = stage.servers.log_of(&topic).await?;
            let kept = ledger.kept(&topic, log.iter().map(String::as_str));
            kept.with_context(|| format!("the log of {topic}"))?;
        }
        Ok(())
    }
}
