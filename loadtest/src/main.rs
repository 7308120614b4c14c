//! `sluice-loadtest`: load scenarios for Sluice and its peers. A client of the wire only: it knows no crate of
//! Sluice but the vocabulary, and measures servers from outside, as processes.

mod checker;
mod clock;
mod floor;
mod generator;
mod measure;
mod pacing;
mod payload;
mod publish;
mod reader;
mod results;
mod run;
mod scenario;
mod table;
mod targets;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Load scenarios for Sluice and its peers, on this machine only.
#[derive(Parser)]
#[command(name = "sluice-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a scenario; fails when an event was lost, repeated or reordered, or a stream failed.
    Run(Box<run::Arguments>),
    /// List the scenarios of a folder.
    List {
        /// The folder.
        #[arg(default_value = "loadtest/scenarios")]
        folder: PathBuf,
    },
    /// Print results again.
    Table {
        /// Files written by `run --json`.
        #[arg(required = true)]
        results: Vec<PathBuf>,
    },
    /// Hold streams, told by the tool (internal).
    #[command(hide = true)]
    Generator,
    /// Serve as the floor, told by the tool (internal).
    #[command(hide = true)]
    FloorServer {
        /// One call for each event, or for all that a stream lacks.
        #[arg(long, value_enum)]
        sending: floor::Sending,
        /// A fault to plant.
        #[arg(long, value_enum)]
        plant: Option<floor::Plant>,
    },
    /// Become another program that ends with the tool (internal).
    #[command(hide = true)]
    Bound {
        /// The tool's process id.
        #[arg(long)]
        parent: u32,
        /// The program and its arguments.
        #[arg(required = true, last = true)]
        program: Vec<String>,
    },
}

fn main() -> ExitCode {
    match obey(Cli::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("sluice-loadtest: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// Carries out the verb; `false` when a check failed.
fn obey(verb: Verb) -> Result<bool> {
    run::raise_descriptor_limit()?;
    match verb {
        Verb::Run(arguments) => return run::run(&arguments),
        Verb::List { folder } => list(&folder)?,
        Verb::Table { results } => table::print_files(&results)?,
        Verb::Generator => generator::run()?,
        Verb::FloorServer { sending, plant } => floor::run(sending, plant)?,
        Verb::Bound { parent, program } => targets::process::become_bound(parent, &program)?,
    }
    Ok(true)
}

fn list(folder: &std::path::Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut out = std::io::stdout().lock();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let scenario = scenario::Scenario::load(path, &[])?;
        let targets: Vec<_> = scenario.targets.iter().map(|target| target.as_str()).collect();
        writeln!(out, "{:<14} {} [{}]", scenario.name, scenario.about, targets.join(", "))?;
    }
    Ok(())
}
