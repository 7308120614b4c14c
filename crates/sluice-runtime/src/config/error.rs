//! What is wrong with a configuration: all of it at once, nothing secret.

use std::fmt;

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
        let mut text = self.key.clone();
        if let Some(value) = &self.value {
            text = format!("{text} = {value}");
        }
        text = format!("{text} ({}): {}", self.source, self.problem);
        f.write_str(&text.replace(char::is_control, " "))
    }
}

/// All mistakes of a configuration, at least one. The process exits with [`ConfigErrors::EXIT_CODE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `EX_USAGE` of sysexits.h.
    pub const EXIT_CODE: u8 = 64;

    /// `Err` with `errors`, unless there is none.
    pub(super) fn unless_empty(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// The mistakes in the order of the sections.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} in the configuration:", if count == 1 { "error" } else { "errors" })?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
