//! The log: lines on stderr, so that stdout stays a command's own.

mod correlated;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::format::JsonFields;
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
    let filter = EnvFilter::try_new(&settings.log_level)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let format = settings.log_format;
    match format {
        LogFormat::Text => {
            let lines = format::format().with_ansi(std::io::stderr().is_terminal());
            log.event_format(Correlated { lines, format }).finish().try_init()?;
        }
        LogFormat::Json => {
            let lines = format::format().json().flatten_event(true).with_current_span(false);
            let log = log.fmt_fields(JsonFields::new());
            log.event_format(Correlated { lines, format }).finish().try_init()?;
        }
    }
    Ok(())
}
