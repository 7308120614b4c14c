//! `sluice doctor`: what stands in the way of a node on this machine, with this Redis, behind this public
//! address. Every check is a judgement, pure, from facts to findings, and a gatherer that only looks; nothing is
//! changed anywhere. What it prints holds no secret.

mod access;
mod files;
mod finding;
mod machine;
mod public;
mod redis;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use sluice_runtime::config::{Config, ConfigErrors};

use crate::cli::http::Target;
use finding::Level;
use report::Report;

/// How long a public stream is watched beyond two heartbeats: past the half minute after which some balancers
/// cut every response.
const WATCH_BEYOND: Duration = Duration::from_secs(5);

/// What to look at, and how to tell it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The address that clients use, https://host[:port][/prefix], to be judged from here
    #[arg(long, value_name = "PUBLIC_URL")]
    url: Option<String>,
    /// A topic that may be subscribed to through the public address
    #[arg(long, default_value = "sluice.doctor", value_parser = sluice_wire::Topic::parse)]
    topic: sluice_wire::Topic,
    /// How long to watch an idle stream through the public address; 0 not at all [default: two heartbeats and 5]
    #[arg(long, value_name = "SECONDS")]
    idle_seconds: Option<u64>,
    /// Judge only what a browser gets from the public address while no gateway runs: stop all gateways first
    #[arg(long, requires = "url")]
    gateways_down: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Warnings fail too
    #[arg(long)]
    strict: bool,
}

/// Looks and reports; the exit code is 0 without errors (without warnings too, if they are to count), 1 with
/// them, 64 for an address that is none.
pub(crate) async fn run(config: Config, options: Options) -> anyhow::Result<ExitCode> {
    let mut report = Report::new();
    let target = match options.url.as_deref().map(str::parse::<Target>).transpose() {
        Ok(target) => target,
        Err(error) => {
            eprintln!("error: --url: {error}");
            return Ok(ExitCode::from(ConfigErrors::EXIT_CODE));
        }
    };
    if !options.gateways_down {
        examine_node(&config, &mut report).await?;
    }
    if let (Some(target), Some(url)) = (target, &options.url) {
        let heartbeat = config.streams.heartbeat;
        let idle = options.idle_seconds.map_or(heartbeat * 2 + WATCH_BEYOND, Duration::from_secs);
        let findings = match options.gateways_down {
            true => public::examine_without_gateways(target, &options.topic).await,
            false => Box::pin(public::examine(target, &options.topic, heartbeat, idle)).await,
        };
        report.add("public", url, findings);
    }
    Ok(conclude(&report, &options))
}

/// Judges what a node of this configuration would meet on this machine.
async fn examine_node(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    report.add("machine", "this machine, as this process sees it", machine::examine(config));
    report.add("access", "who is let in, by this configuration", access::examine(config).await);
    let files = files::examine(config);
    if !files.is_empty() {
        report.add("files", "certificates, keys and secrets in files", files);
    }
    for (server, findings) in redis::examine(config).await? {
        report.add("redis", &server, findings);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "printing is what this verb is for")]
fn conclude(report: &Report, options: &Options) -> ExitCode {
    if options.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    let worst = if options.strict { Level::Warning } else { Level::Error };
    if report.worst() >= worst { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
