//! A run: every target in turn goes through every part of the scenario, on servers of its own, within the
//! scenario's deadline.

mod deadline;
mod fleet;
mod flow;
mod goals;
mod part;
mod step;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};

use self::deadline::Deadline;
use crate::results::{Machine, Results, TargetResult};
use crate::scenario::{Scenario, TargetName};
use crate::targets::Origin;

/// `sluice-loadtest run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The scenario file.
    scenario: PathBuf,
    /// What to measure; `all` for every target that the scenario names.
    #[arg(long, default_value = "")]
    target: String,
    /// Write the result to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail when a goal is not reached.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    origin: Origin,
    /// Changes to the scenario: key=value, keys as dotted paths, such as `parts.main.streams.many.count=500`.
    overrides: Vec<String>,
}

/// Runs a scenario and prints the result; `false` when a check failed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let scenario = Scenario::load(&arguments.scenario, &arguments.overrides)?;
    let targets = targets(&arguments.target, &scenario)?;
    let mut results = Results {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        started_s: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
        machine: machine(),
        targets: targets.into_iter().map(|target| measure(target, &scenario, &arguments.origin)).collect(),
        goals: Vec::new(),
    };
    results.goals = goals::evaluate(&scenario.goals, &results)?;
    if let Some(path) = &arguments.json {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(&results)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    crate::table::print(&results)?;
    let goals_hold = results.goals.iter().all(|goal| goal.reached != Some(false));
    Ok(results.is_clean() && (goals_hold || !arguments.strict))
}

fn targets(text: &str, scenario: &Scenario) -> Result<Vec<TargetName>> {
    match text {
        "" => Ok(scenario.targets[..1].to_vec()),
        "all" => Ok(scenario.targets.clone()),
        names => names.split(',').map(|name| target(name, scenario)).collect(),
    }
}

fn target(name: &str, scenario: &Scenario) -> Result<TargetName> {
    let known = scenario.targets.iter().find(|target| target.as_str() == name);
    let names: Vec<_> = scenario.targets.iter().map(|target| target.as_str()).collect();
    known
        .copied()
        .with_context(|| format!("{} has no target {name:?}; it has {}", scenario.name, names.join(", ")))
}

/// Runs all parts against one target. What goes wrong is part of the result.
fn measure(target: TargetName, scenario: &Scenario, origin: &Origin) -> TargetResult {
    let deadline = Deadline::within(Duration::from_secs(scenario.deadline_s));
    let mut result = TargetResult { target: target.as_str().to_owned(), parts: Vec::new(), error: None };
    for part in &scenario.parts {
        eprintln!("{} / {}: {} streams ..", target.as_str(), part.name, part.stream_count());
        match part::run(&part::Setting { target, scenario, origin, part, deadline }) {
            Ok(part) => result.parts.push(part),
            Err(fault) => {
                result.error = Some(format!("{}: {fault:#}", part.name));
                break;
            }
        }
    }
    result
}

fn machine() -> Machine {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    Machine { cores, kernel }
}

/// Lets this process and its children open as many descriptors as they may.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= 1024),
        "the descriptor limit is too low for any load"
    );
    Ok(())
}
