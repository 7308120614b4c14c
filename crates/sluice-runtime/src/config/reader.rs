//! The merged tree while it is being read.
//!
//! Every read of a [`Section`] leaves an [`Entry`] behind, so that the keys that exist are exactly the keys that were read;
//! a read that fails leaves a [`ConfigError`] and goes on with the default, so that all mistakes are found.

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::error::{ConfigError, ConfigErrors};
use super::layers::DEFAULT_SOURCE;
use super::section::Section;
use super::suggest;
use super::takes::Takes;

/// A key as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Dotted.
    pub(super) key: String,
    /// The effective value as TOML, masked.
    pub(super) literal: String,
    /// Where it came from, unless it is a default.
    pub(super) source: Option<String>,
    /// What the key takes.
    pub(super) takes: Takes,
}

/// The merged tree and what was found in it so far.
pub(super) struct Reader {
    figment: Figment,
    tree: Value,
    entries: Vec<Entry>,
    errors: Vec<ConfigError>,
}

impl Reader {
    pub(super) fn new(figment: Figment, errors: Vec<ConfigError>) -> Self {
        let mut data = figment.data().unwrap_or_default();
        let tree = Value::from(data.remove(&Profile::Default).unwrap_or_default());
        Self { figment, tree, entries: Vec::new(), errors }
    }

    /// Reads one section.
    pub(super) fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        read(&mut Section::new(self, name))
    }

    /// The value of a key and its source, if any layer has it.
    pub(super) fn find(&self, key: &str) -> Option<(Value, String)> {
        let value = self.tree.find_ref(key)?;
        Some((value.clone(), self.source(value)))
    }

    /// Takes down what a key came to.
    pub(super) fn record(&mut self, entry: Entry) {
        let source = entry.source.filter(|source| source != DEFAULT_SOURCE);
        self.entries.push(Entry { source, ..entry });
    }

    /// Takes down what is wrong.
    pub(super) fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    /// Reports that a value which is right by itself is wrong beside another.
    pub(super) fn refuse(&mut self, key: &str, problem: &str) {
        if self.errors.iter().any(|error| error.key == key) {
            return;
        }
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let value = entry.map(|entry| entry.literal.clone());
        let source =
            entry.and_then(|entry| entry.source.clone()).unwrap_or_else(|| DEFAULT_SOURCE.to_owned());
        self.errors.push(ConfigError { key: key.to_owned(), value, source, problem: problem.to_owned() });
    }

    /// The keys as they were read so far.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    /// The mistakes, if a key was wrong or one was left over.
    pub(super) fn finish(mut self) -> Result<(), ConfigErrors> {
        if let Some(root) = self.tree.as_dict() {
            let mut unknown = Vec::new();
            self.leftovers("", root, &mut unknown);
            self.errors.append(&mut unknown);
        }
        ConfigErrors::unless_empty(self.errors)
    }

    /// Collects what no section has read. Values are not shown: nobody knows what an unknown key holds.
    fn leftovers(&self, path: &str, dict: &Dict, errors: &mut Vec<ConfigError>) {
        for (name, value) in dict {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if name.contains('.') {
                let problem = "is one quoted name: write its parts without quotes, or as a table".to_owned();
                errors.push(ConfigError { key, value: None, source: self.source(value), problem });
                continue;
            }
            if self.entries.iter().any(|entry| entry.key == key) {
                continue;
            }
            if let Some(inner) = value.as_dict().filter(|inner| !inner.is_empty()) {
                self.leftovers(&key, inner, errors);
                continue;
            }
            let source = self.source(value);
            if let Some(problem) = self.problem_of(&key, value) {
                errors.push(ConfigError { key, value: None, source, problem });
            }
        }
    }

    fn problem_of(&self, key: &str, value: &Value) -> Option<String> {
        let inside = format!("{key}.");
        let is_section = self.entries.iter().any(|entry| entry.key.starts_with(&inside));
        if is_section {
            return value.as_dict().is_none().then(|| "is a section: give its keys".to_owned());
        }
        let keys = self.entries.iter().map(|entry| entry.key.as_str());
        Some(match suggest::nearest(key, keys) {
            Some(nearest) => format!("there is no such key; did you mean {nearest}?"),
            None => "there is no such key; `sluice config` prints all".to_owned(),
        })
    }

    fn source(&self, value: &Value) -> String {
        let metadata = self.figment.get_metadata(value.tag());
        metadata.map_or_else(|| DEFAULT_SOURCE.to_owned(), |metadata| metadata.name.to_string())
    }
}
