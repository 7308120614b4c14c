//! `[telemetry]`: what the process tells about itself.

use tracing_subscriber::filter::Targets;

use super::otlp::Otlp;
use super::section::Section;

/// Logs and traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// `telemetry.log_format`: "text".
    pub log_format: LogFormat,
    /// `telemetry.log_level`: "info". A level, or levels by target such as `info,sluice_broker=debug`.
    pub log_level: String,
    /// `telemetry.otlp.*`: where spans are sent.
    pub otlp: Otlp,
    /// `telemetry.resource_attributes`: none. What spans say about this process beside what it knows itself.
    pub resource_attributes: Vec<(String, String)>,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            otlp: Otlp::default(),
            resource_attributes: Vec::new(),
        }
    }
}

impl Telemetry {
    pub(super) fn read(section: &mut Section<'_>, d: &Self) -> Self {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let level = "must be off, error, warn, info, debug or trace, or levels by target such as \
                     \"info,sluice_broker=debug\"";
        let attributes = "must be a table such as { \"deployment.environment.name\" = \"production\" }, or \
                          \"name=value,name=value\"";
        Self {
            log_format: section.choice("log_format", d.log_format, &formats),
            log_level: section.text("log_level", d.log_level.clone(), level, check_filter),
            otlp: Otlp::read(section, &d.otlp),
            resource_attributes: section.pairs("resource_attributes", attributes, parse_attribute),
        }
    }
}

fn parse_attribute(name: &str, value: &str) -> Result<String, String> {
    if name.is_empty() { Err("a name is empty".to_owned()) } else { Ok(value.to_owned()) }
}

/// The filter takes a bare word that is no level for a target, so that `inof` would silence everything else.
fn check_filter(text: &str) -> Result<(), String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let bare = text.split(',').map(str::trim).filter(|directive| !directive.contains(['=', '[']));
    for word in bare {
        if !levels.iter().any(|level| level.eq_ignore_ascii_case(word)) {
            return Err(format!("{word:?} is no level"));
        }
    }
    text.parse::<Targets>().map(drop).map_err(|error| error.to_string())
}
