//! The command line.

mod health;
pub(crate) mod http;
mod key;
mod publish;
mod revoke;
mod tail;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use sluice_runtime::config::{Config, ConfigErrors, Layers, LogFormat, Role};

use crate::{doctor, node, settings};

/// A Redis-backed, horizontally scaled gateway for Server-Sent Events
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve streams
    Gateway(Layered),
    /// Take events in by HTTP
    Publisher(Layered),
    /// Gateway and publisher in one process, on the embedded broker unless redis.url says otherwise
    Dev(Layered),
    Publish(publish::Args),
    Tail(tail::Args),
    Key(key::Args),
    Revoke(revoke::Args),
    /// Ask the process of this configuration whether it is alive; for a container's health check
    Health(HealthArgs),
    /// Look for what stands in a node's way: the machine, Redis, and what lies before the public address
    Doctor(DoctorArgs),
    /// Print the effective configuration, secrets masked
    Config(ConfigArgs),
}

/// Where configuration comes from, beside the environment (`SLUICE_SECTION__KEY`).
#[derive(Debug, Args)]
pub(crate) struct Layered {
    /// A TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One key, as in --set listen.addr=127.0.0.1:8080; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Whose defaults apply
    #[arg(value_enum, default_value = "gateway")]
    role: RoleName,
    /// Print the commented defaults instead
    #[arg(long)]
    defaults: bool,
    /// Print the JSON Schema of a configuration file instead, with the defaults of the role
    #[arg(long, conflicts_with = "defaults")]
    schema: bool,
    /// Do not look at the files that the configuration names, such as certificates: they are on another machine
    #[arg(long)]
    skip_files: bool,
    #[command(flatten)]
    layered: Layered,
}

#[derive(Debug, Args)]
struct HealthArgs {
    /// Ask whether it is ready (/readyz) instead
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    layered: Layered,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    /// What would run here, which decides what it must be allowed to do
    #[arg(value_enum, default_value = "gateway")]
    role: RoleName,
    #[command(flatten)]
    options: doctor::Options,
    #[command(flatten)]
    layered: Layered,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    Gateway,
    Publisher,
    Dev,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Gateway => Self::Gateway,
            RoleName::Publisher => Self::Publisher,
            RoleName::Dev => Self::Dev,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value, such as listen.addr=:8080")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Does what the command line says, and says what went wrong.
pub(crate) fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.verb {
        Verb::Gateway(layered) => serve(Role::Gateway, layered),
        Verb::Publisher(layered) => serve(Role::Publisher, layered),
        Verb::Dev(layered) => serve(Role::Dev, layered),
        Verb::Publish(args) => client(publish::run(args)),
        Verb::Tail(args) => client(tail::run(args)),
        Verb::Key(args) => key::run(&args),
        Verb::Revoke(args) => client(revoke::run(args)),
        Verb::Health(HealthArgs { ready, layered }) => match load_without_files(Role::Gateway, layered) {
            Ok(config) => client(health::run(config, ready)),
            Err(errors) => Ok(refuse(&errors)),
        },
        Verb::Doctor(DoctorArgs { role, options, layered }) => match load_without_files(role.into(), layered)
        {
            Ok(config) => client(doctor::run(config, options)),
            Err(errors) => Ok(refuse(&errors)),
        },
        Verb::Config(args) => print_config(args),
    }
}

fn serve(role: Role, layered: Layered) -> anyhow::Result<ExitCode> {
    let config = match load(role, layered) {
        Ok(config) => config,
        Err(errors) => return Ok(refuse(&errors)),
    };
    let log_format = config.telemetry.log_format;
    let ended = run_process(config);
    match ended {
        // Whoever reads the log as JSON reads this as well.
        Err(error) if log_format == LogFormat::Json => {
            early_line("ERROR", &format!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
        ended => ended,
    }
}

fn run_process(config: Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the async runtime cannot be started")?;
    let ended = runtime.block_on(node::run(config));
    // A name that is still being looked up holds nobody up.
    runtime.shutdown_background();
    ended
}

fn client(verb: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the async runtime cannot be started")?.block_on(verb)
}

#[expect(clippy::print_stdout, reason = "printing is what this verb is for")]
fn print_config(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.defaults {
        print!("{}", Config::DEFAULTS);
        return Ok(ExitCode::SUCCESS);
    }
    if args.schema {
        println!("{:#}", Config::schema(args.role.into())?);
        return Ok(ExitCode::SUCCESS);
    }
    let load = if args.skip_files { load_without_files } else { load };
    Ok(match load(args.role.into(), args.layered) {
        Ok(config) => {
            for warning in config.warnings() {
                eprintln!("warning: {warning}");
            }
            print!("{}", config.render());
            ExitCode::SUCCESS
        }
        Err(errors) => refuse(&errors),
    })
}

/// The configuration of a process that is to run: its files are looked at too.
fn load(role: Role, layered: Layered) -> Result<Config, ConfigErrors> {
    Config::load_checked(role, &Layers::from_process(layered.config, layered.set), settings::faults)
}

/// The configuration alone: its files are not looked at, or are looked at by whoever asks.
fn load_without_files(role: Role, layered: Layered) -> Result<Config, ConfigErrors> {
    Config::load(role, &Layers::from_process(layered.config, layered.set))
}

/// Says what is wrong, in the form that the process logs in.
fn refuse(errors: &ConfigErrors) -> ExitCode {
    match errors.log_format() {
        LogFormat::Text => eprintln!("{errors}"),
        LogFormat::Json => {
            for error in errors.iter() {
                early_line("ERROR", &format!("the configuration is wrong: {error}"));
            }
        }
    }
    ExitCode::from(ConfigErrors::EXIT_CODE)
}

/// A line as the log writes it, before there is a log.
fn early_line(level: &str, message: &str) {
    let now = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
    eprintln!(
        "{}",
        serde_json::json!({ "timestamp": now, "level": level, "message": message, "target": "sluice" })
    );
}
