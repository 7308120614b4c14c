//! One part against one target: servers, warm-up, idle memory, prefill, streams, memory with streams, steps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::deadline::Deadline;
use super::fleet::Fleet;
use super::step;
use crate::clock::{monotonic_ns, pause};
use crate::generator::protocol::{Command, Plan};
use crate::measure::{Kernel, memory};
use crate::publish::Publisher;
use crate::results::{MemoryResult, PartResult, each};
use crate::scenario::{Opens, Part, Scenario, TargetName, Topics};
use crate::targets::{Origin, Target};

/// How often the tool looks whether streams are open.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Events published at once before streams open.
const PREFILL_BATCH: u64 = 100;

/// What is run.
pub(super) struct Setting<'a> {
    pub(super) target: TargetName,
    pub(super) scenario: &'a Scenario,
    pub(super) origin: &'a Origin,
    pub(super) part: &'a Part,
    pub(super) deadline: Deadline,
}

/// What runs while a part is measured.
pub(super) struct Bench<'a> {
    pub(super) setting: &'a Setting<'a>,
    // Before the target, so that streams are closed by their clients.
    pub(super) fleet: Fleet,
    pub(super) target: Target,
    pub(super) publisher: Publisher,
    pub(super) topics: Topics,
}

/// Runs the part.
pub(super) fn run(setting: &Setting<'_>) -> Result<PartResult> {
    let Setting { scenario, part, deadline, .. } = *setting;
    let folder = tempfile::Builder::new().prefix("sluice-loadtest-").tempdir()?;
    open_to_servers(folder.path())?;
    let target = Target::start(setting.target, scenario, setting.origin, folder.path())?;
    let fleet = Fleet::start(scenario.generators, folder.path(), deadline)?;
    let topics = Topics::of(part);
    let names = (0..).map_while(|index| topics.name(index)).collect();
    let publisher = Publisher::connect(&target.publish, names, scenario.payload_bytes)?;
    let mut bench = Bench { setting, target, fleet, publisher, topics };

    let rest = Duration::from_secs_f64(scenario.rest_s);
    pause(rest);
    let mut memory = MemoryResult { fresh_bytes: bench.server_bytes(), ..MemoryResult::default() };
    bench.warm_up()?;
    pause(rest);
    memory.idle_bytes = bench.server_bytes();
    let cursors = bench.prefill()?;

    let kernel = Kernel::now();
    let started = monotonic_ns();
    bench.plan(u32::MAX, &cursors, true)?;
    bench.fleet.tell(&Command::Open { opens: Opens::Before })?;
    let open = bench.wait_open()?;
    let open_s = step::seconds(monotonic_ns() - started);
    pause(rest);
    memory.open_bytes = bench.server_bytes();
    memory.kernel = Kernel::now().since(kernel);
    let grown_since = |then: Option<u64>| Some(memory.open_bytes?.saturating_sub(then?));
    memory.bytes_per_stream = grown_since(memory.idle_bytes).and_then(|bytes| each(bytes, open));
    memory.bytes_per_stream_from_fresh = grown_since(memory.fresh_bytes).and_then(|bytes| each(bytes, open));
    memory.kernel_bytes_per_stream = each(memory.kernel.slab, open);

    let mut steps = Vec::new();
    for (index, step) in part.steps.iter().enumerate() {
        eprintln!("  {} ..", step.name);
        steps.push(step::run(&mut bench, step, index == 0).with_context(|| format!("step {}", step.name))?);
    }
    bench.fleet.tell(&Command::Close)?;
    Ok(PartResult { part: part.name.clone(), streams: u64::from(part.stream_count()), open_s, memory, steps })
}

impl Bench<'_> {
    /// Resident memory of the servers, where their processes are known.
    pub(super) fn server_bytes(&self) -> Option<u64> {
        let pids = self.target.server_pids();
        (!pids.is_empty()).then(|| memory(&pids).bytes())
    }

    /// Gives up when the deadline has passed or something has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.setting.deadline.check()?;
        self.target.check_alive()
    }

    /// Opens and closes a few streams, so that what the first ones cost once is not charged to the others.
    fn warm_up(&mut self) -> Result<()> {
        if self.setting.scenario.warmup_streams == 0 {
            return Ok(());
        }
        self.plan(self.setting.scenario.warmup_streams, &BTreeMap::new(), false)?;
        for opens in [Opens::Before, Opens::During] {
            self.fleet.tell(&Command::Open { opens })?;
        }
        self.wait_open()?;
        self.fleet.tell(&Command::Close)?;
        Ok(())
    }

    /// Publishes what is to be there before the streams; returns the cursors of groups that resume.
    fn prefill(&mut self) -> Result<BTreeMap<String, String>> {
        let mut cursors = BTreeMap::new();
        let part = self.setting.part;
        for prefill in &part.prefill {
            let mut ids = Vec::new();
            let topics = self.topics.indexes(&prefill.topic).context("unknown topic")?;
            let each = usize::try_from(topics.end - topics.start)?;
            let mut left = prefill.events;
            while left > 0 {
                let rounds = usize::try_from(left.min(PREFILL_BATCH))?;
                let batch: Vec<u32> = topics.clone().cycle().take(each * rounds).collect();
                ids.extend(self.publisher.publish(&batch)?);
                left -= rounds as u64;
                self.check()?;
            }
            for group in part.streams.iter().filter(|group| group.topics == [prefill.topic.as_str()]) {
                let Some(back) = group.resume_back else { continue };
                let index = usize::try_from(prefill.events - back - 1)?;
                cursors.insert(group.name.clone(), ids[index].clone());
            }
        }
        Ok(cursors)
    }

    fn plan(&mut self, streams_max: u32, cursors: &BTreeMap<String, String>, prefilled: bool) -> Result<()> {
        let Setting { scenario, part, .. } = *self.setting;
        let workers = scenario.generators;
        let target = &self.target;
        self.fleet.tell_each(|worker| {
            Command::Plan(Box::new(Plan {
                part: part.clone(),
                worker,
                workers,
                streams_max,
                servers: target.servers.clone(),
                dialect: target.dialect,
                open_per_second: scenario.open_per_second / f64::from(workers),
                cursors: cursors.clone(),
                prefilled,
            }))
        })?;
        Ok(())
    }

    /// Waits until nothing is waiting any more; returns how many are open.
    fn wait_open(&mut self) -> Result<u64> {
        loop {
            let status = self.fleet.status()?;
            if status.failed > 0 {
                let failures: Vec<_> =
                    self.fleet.reports()?.into_iter().flat_map(|report| report.failures).collect();
                ensure!(status.failed == 0, "{} streams failed: {failures:?}", status.failed);
            }
            if status.waiting == 0 {
                return Ok(status.open);
            }
            self.check()
                .with_context(|| format!("{} streams are open, {} are not", status.open, status.waiting))?;
            pause(LOOK_EVERY);
        }
    }
}

/// nginx's workers run as another user and need to pass through the folder.
fn open_to_servers(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
