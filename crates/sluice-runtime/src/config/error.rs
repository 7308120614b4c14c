//! What is wrong with a configuration: all of it at once, nothing secret.

use std::fmt;

use super::LogFormat;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The dotted key, or what else the mistake is in (the file).
    pub key: String,
    /// The value as given, masked where it may be secret; `None` where showing it helps nobody or might
    /// reveal something.
    pub value: Option<String>,
    /// Which file, variable, flag or default it came from.
    pub source: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    /// One line, whatever keys and values hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, source, problem } = self;
        let text = match value {
            Some(value) => format!("{key} = {value} ({source}): {problem}"),
            // A sentence about the key.
            None if problem.starts_with("is ") => format!("{key} {problem} ({source})"),
            None => format!("{key} ({source}): {problem}"),
        };
        f.write_str(&text.replace(char::is_control, " "))
    }
}

/// All mistakes of a configuration, at least one. The process exits with [`ConfigErrors::EXIT_CODE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    log_format: LogFormat,
}

impl ConfigErrors {
    /// `EX_USAGE` of sysexits.h.
    pub const EXIT_CODE: u8 = 64;

    /// `Err` with `errors`, unless there is none.
    pub(super) fn unless_empty(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self { errors, log_format: LogFormat::Text }) }
    }

    /// How the process was to log, as far as that could be read: whoever reads its log reads these too.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    pub(super) fn logged_as(self, log_format: LogFormat) -> Self {
        Self { log_format, ..self }
    }

    /// The mistakes in the order of the sections.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        write!(f, "{count} {} in the configuration:", if count == 1 { "error" } else { "errors" })?;
        self.errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
