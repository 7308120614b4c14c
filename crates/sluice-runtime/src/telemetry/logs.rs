//! The log: lines on stderr, so that stdout stays a command's own.

mod correlated;

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::correlated::Correlated;
use crate::config::{LogFormat, Telemetry};

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error("telemetry.log_level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process has a log already.
    #[error("{0}")]
    Taken(#[from] TryInitError),
}

/// Makes `settings` the log of this process.
pub(super) fn init(settings: &Telemetry) -> Result<(), LogError> {
    // By target alone: filters by span and field would bring an engine for regular expressions, a quarter of a megabyte.
    let filter: Targets = settings.log_level.parse()?;
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    // What cannot be written would be told on stderr, and that panics when stderr is a pipe that nobody reads.
    let log = log.log_internal_errors(false);
    let format = settings.log_format;
    match format {
        LogFormat::Text => {
            let lines = format::format().with_ansi(std::io::stderr().is_terminal());
            log.event_format(Correlated { lines, format }).finish().with(filter).try_init()?;
        }
        LogFormat::Json => {
            let lines = format::format().json().flatten_event(true).with_current_span(false);
            let log = log.fmt_fields(JsonFields::new());
            log.event_format(Correlated { lines, format }).finish().with(filter).try_init()?;
        }
    }
    Ok(())
}
