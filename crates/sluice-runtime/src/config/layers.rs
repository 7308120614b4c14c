//! Where values come from, lowest layer first, and how each layer names itself in errors and in
//! `sluice config`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::Role;
use super::error::ConfigError;
use super::reader::Reader;

pub(super) const DEFAULTS: &str = include_str!("defaults.toml");
const DEV_DEFAULTS: &str = include_str!("dev.toml");

/// The name of the layers whose values need no explanation.
pub(super) const DEFAULT_SOURCE: &str = "default";

const PREFIX: &str = "SLUICE_";
const SEPARATOR: &str = "__";

/// What a process was given to read its configuration from.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The TOML file of `--config`. It must exist.
    pub file: Option<PathBuf>,
    /// Environment variables; those that are not `SLUICE_SECTION__KEY` are ignored, with a warning where one would be a
    /// key but for an underscore.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags as (dotted key, text). They override everything.
    pub flags: Vec<(String, String)>,
}

impl Layers {
    /// The environment of this process, with `file` and `flags`.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        Self { file, environment: std::env::vars_os().collect(), flags }
    }

    /// All layers merged, with the mistakes that lie in a layer as such.
    pub(super) fn reader(&self, role: Role) -> Reader {
        let mut errors = Vec::new();
        let mut figment = Figment::from(Layer::built_in(DEFAULTS));
        if role == Role::Dev {
            figment = figment.merge(Layer::built_in(DEV_DEFAULTS));
        }
        if let Some(path) = &self.file {
            figment = figment.merge(Layer::file(path, &mut errors));
        }
        for (name, value) in &self.environment {
            if let Some(layer) = Layer::variable(name, value, &mut errors) {
                figment = figment.merge(layer);
            }
        }
        for (key, text) in &self.flags {
            let path: Vec<&str> = key.split('.').collect();
            figment = figment.merge(Layer::one("flag".to_owned(), &path, text));
        }
        Reader::new(figment, errors)
    }
}

impl Layers {
    /// Variables whose names would be keys if their underscores were doubled: they set nothing.
    pub(super) fn warnings(&self, keys: &[&str]) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, _) in &self.environment {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            if rest.contains(SEPARATOR) {
                continue;
            }
            let meant = keys.iter().find(|key| key.replace('.', "_").eq_ignore_ascii_case(rest));
            if let Some(key) = meant {
                let right = key.replace('.', SEPARATOR).to_ascii_uppercase();
                let name = format!("{PREFIX}{rest}");
                warnings.push(format!(
                    "the environment variable {name} sets nothing; {key} is set by {PREFIX}{right}"
                ));
            }
        }
        warnings
    }
}

/// One source of values.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn built_in(text: &'static str) -> Self {
        // A test reads both built-in texts, so that an error here cannot leave the house.
        Self { name: DEFAULT_SOURCE.to_owned(), values: toml::from_str(text).unwrap_or_default() }
    }

    fn file(path: &Path, errors: &mut Vec<ConfigError>) -> Self {
        let name = format!("file {}", path.display());
        let values = read_file(path).unwrap_or_else(|problem| {
            errors.push(ConfigError {
                key: "--config".to_owned(),
                value: None,
                source: name.clone(),
                problem,
            });
            Dict::new()
        });
        Self { name, values }
    }

    /// The layer of a variable, if its name says that it is ours.
    fn variable(name: &OsString, value: &OsString, errors: &mut Vec<ConfigError>) -> Option<Self> {
        let name = name.to_str()?;
        let key = name.strip_prefix(PREFIX)?;
        if !key.contains(SEPARATOR) {
            return None;
        }
        let source = format!("environment variable {name}");
        let lower = key.to_ascii_lowercase();
        let path: Vec<&str> = lower.split(SEPARATOR).collect();
        let Some(text) = value.to_str() else {
            let problem = "must be UTF-8 text".to_owned();
            errors.push(ConfigError { key: path.join("."), value: None, source, problem });
            return None;
        };
        Some(Self::one(source, &path, text))
    }

    /// One value as text: what type it is, the key decides.
    fn one(name: String, path: &[&str], text: &str) -> Self {
        let nested = path
            .iter()
            .rev()
            .fold(Value::from(text), |value, key| Value::from(Dict::from([((*key).to_owned(), value)])));
        Self { name, values: nested.into_dict().unwrap_or_default() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn read_file(path: &Path) -> Result<Dict, String> {
    if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Err("must be TOML; YAML is not read".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    toml::from_str(&text).map_err(|error| explain(&text, &error))
}

/// What is wrong with a file, by place. The parser's own text would quote the line, and with it a password.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}
