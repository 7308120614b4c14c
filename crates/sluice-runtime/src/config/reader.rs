//! Reading the merged tree key by key.
//!
//! Every read leaves an [`Entry`] behind, so that the keys that exist are exactly the keys that were read;
//! a read that fails leaves a [`ConfigError`] and goes on with the default, so that all mistakes are found.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::error::{ConfigError, ConfigErrors};
use super::layers::DEFAULT_SOURCE;
use super::raw;
use super::secret::MASK;
use super::suggest;
use super::unit::parse_bytes;

/// A key as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Dotted.
    pub(super) key: String,
    /// The effective value as TOML, masked.
    pub(super) literal: String,
    /// Where it came from, unless it is a default.
    pub(super) source: Option<String>,
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
        read(&mut Section { reader: self, name })
    }

    /// Reports that a value which is right by itself is wrong beside another.
    pub(super) fn refuse(&mut self, key: &str, problem: &str) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let value = entry.map(|entry| entry.literal.clone());
        let source =
            entry.and_then(|entry| entry.source.clone()).unwrap_or_else(|| DEFAULT_SOURCE.to_owned());
        self.errors.push(ConfigError { key: key.to_owned(), value, source, problem: problem.to_owned() });
    }

    /// The entries, if neither a key was wrong nor one was left over.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>, ConfigErrors> {
        if let Some(root) = self.tree.as_dict() {
            let mut unknown = Vec::new();
            self.leftovers("", root, &mut unknown);
            self.errors.append(&mut unknown);
        }
        ConfigErrors::unless_empty(self.errors)?;
        Ok(self.entries)
    }

    /// Collects what no section has read. Values are not shown: nobody knows what an unknown key holds.
    fn leftovers(&self, path: &str, dict: &Dict, errors: &mut Vec<ConfigError>) {
        for (name, value) in dict {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if self.entries.iter().any(|entry| entry.key == key) {
                continue;
            }
            let inside = format!("{key}.");
            let is_section = self.entries.iter().any(|entry| entry.key.starts_with(&inside));
            let problem = match (is_section, value.as_dict()) {
                (true, Some(dict)) => {
                    self.leftovers(&key, dict, errors);
                    continue;
                }
                (true, None) => "is a section: give its keys".to_owned(),
                (false, dict) => self.unknown(&key, dict.is_some()),
            };
            errors.push(ConfigError { key, value: None, source: self.source(value), problem });
        }
    }

    fn unknown(&self, key: &str, is_dict: bool) -> String {
        let keys = self.entries.iter().map(|entry| entry.key.as_str());
        let nearest = if is_dict {
            suggest::nearest(key, keys.filter_map(|key| key.rsplit_once('.').map(|(section, _)| section)))
        } else {
            suggest::nearest(key, keys)
        };
        match nearest {
            Some(nearest) => format!("there is no such key; did you mean {nearest}?"),
            None => "there is no such key; `sluice config` prints all".to_owned(),
        }
    }

    fn source(&self, value: &Value) -> String {
        // The tag of a table is that of its top layer; a leaf knows better.
        let leaf = value.as_dict().and_then(|dict| dict.values().next());
        match leaf {
            Some(leaf) => self.source(leaf),
            None => self
                .figment
                .get_metadata(value.tag())
                .map_or_else(|| DEFAULT_SOURCE.to_owned(), |metadata| metadata.name.to_string()),
        }
    }
}

/// What a key takes, for the error message and for the rendering.
struct Shape<'s, T> {
    right: &'s str,
    secret: bool,
    literal: &'s dyn Fn(&T) -> String,
}

/// A section being read.
pub(super) struct Section<'r> {
    reader: &'r mut Reader,
    name: &'static str,
}

impl Section<'_> {
    /// A whole number.
    pub(super) fn integer<T>(&mut self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + Display + PartialOrd,
    {
        let right = format!("must be a whole number from {} to {}", range.start(), range.end());
        let shape = Shape { right: &right, secret: false, literal: &T::to_string };
        self.scalar(key, default, &shape, |text| {
            text.parse().ok().filter(|number| range.contains(number)).ok_or(String::new())
        })
    }

    /// A size.
    pub(super) fn bytes(&mut self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let (least, most) = (range.start(), range.end());
        let right =
            format!("must be a size from {least} to {most} bytes, such as 65536, \"64KiB\" or \"1MiB\"");
        let shape = Shape { right: &right, secret: false, literal: &usize::to_string };
        self.scalar(key, default, &shape, |text| {
            parse_bytes(text).filter(|bytes| range.contains(bytes)).ok_or(String::new())
        })
    }

    /// A duration in milliseconds.
    pub(super) fn millis(&mut self, key: &str, default: Duration, range: RangeInclusive<u64>) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.integer(key, default, range))
    }

    /// A duration in seconds, where 0 switches off.
    pub(super) fn seconds_or_off(
        &mut self,
        key: &str,
        default: Option<Duration>,
        most: u64,
    ) -> Option<Duration> {
        let seconds = self.integer(key, default.map_or(0, |d| d.as_secs()), 0..=most);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &str, default: bool) -> bool {
        let shape = Shape { right: "must be true or false", secret: false, literal: &bool::to_string };
        self.scalar(key, default, &shape, |text| text.parse().map_err(|_| String::new()))
    }

    /// One of a few words.
    pub(super) fn choice<T: PartialEq + Clone>(&mut self, key: &str, default: T, words: &[(&str, T)]) -> T {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let right = format!("must be {}", quoted.join(" or "));
        let word = |value: &T| words.iter().find(|(_, v)| v == value).map_or("", |(word, _)| word);
        let shape = Shape { right: &right, secret: false, literal: &|value| raw::quoted(word(value)) };
        self.scalar(key, default, &shape, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone()).ok_or(String::new())
        })
    }

    /// Anything that is read from text and shown as text.
    pub(super) fn parsed<T: FromStr<Err: Display> + Display>(
        &mut self,
        key: &str,
        default: T,
        right: &str,
    ) -> T {
        let shape = Shape { right, secret: false, literal: &|value: &T| raw::quoted(&value.to_string()) };
        self.scalar(key, default, &shape, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// As [`Self::parsed`], of a text that must never be shown as it was given; `T` shows itself masked.
    pub(super) fn secret<T: FromStr<Err: Display> + Display>(
        &mut self,
        key: &str,
        default: T,
        right: &str,
    ) -> T {
        let shape = Shape { right, secret: true, literal: &|value: &T| raw::quoted(&value.to_string()) };
        self.scalar(key, default, &shape, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// Text that `check` accepts.
    pub(super) fn text(
        &mut self,
        key: &str,
        default: String,
        right: &str,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> String {
        let shape = Shape { right, secret: false, literal: &|value: &String| raw::quoted(value) };
        self.scalar(key, default, &shape, |text| check(text).map(|()| text.to_owned()))
    }

    /// A list of texts: an array, or as text either TOML's array or items between commas.
    pub(super) fn list<T: Display>(
        &mut self,
        key: &str,
        default: Vec<T>,
        right: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let literal = |items: &Vec<T>| {
            let items: Vec<String> = items.iter().map(|item| raw::quoted(&item.to_string())).collect();
            format!("[{}]", items.join(", "))
        };
        let shape = Shape { right, secret: false, literal: &literal };
        self.value(key, default, &shape, |value| {
            raw::items(value).ok_or(String::new())?.iter().map(|item| parse(item)).collect()
        })
    }

    /// A list of tables.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        right: &str,
        literal: impl Fn(&T) -> String,
        parse: impl Fn(&Dict) -> Result<T, String>,
    ) -> Vec<T> {
        let literal = |items: &Vec<T>| {
            let items: Vec<String> = items.iter().map(&literal).collect();
            format!("[{}]", items.join(", "))
        };
        let shape = Shape { right, secret: false, literal: &literal };
        self.value(key, Vec::new(), &shape, |value| {
            let tables = raw::tables(value).ok_or(String::new())?;
            let numbered = tables.iter().enumerate();
            numbered
                .map(|(at, table)| parse(table).map_err(|why| format!("rule {}: {why}", at + 1)))
                .collect()
        })
    }

    fn scalar<T>(
        &mut self,
        key: &str,
        default: T,
        shape: &Shape<'_, T>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.value(key, default, shape, |value| parse(&raw::text(value).ok_or(String::new())?))
    }

    /// The one place where a value meets its key. `convert` fails with the reason, or with nothing to add to
    /// what `shape` says is right.
    fn value<T>(
        &mut self,
        key: &str,
        default: T,
        shape: &Shape<'_, T>,
        convert: impl FnOnce(&Value) -> Result<T, String>,
    ) -> T {
        let key = format!("{}.{key}", self.name);
        let mut source = None;
        let mut effective = default;
        if let Some(value) = self.reader.tree.find_ref(&key) {
            let named = self.reader.source(value);
            match convert(value) {
                Ok(converted) => effective = converted,
                Err(why) => {
                    let problem = if why.is_empty() {
                        shape.right.to_owned()
                    } else {
                        format!("{why}; {}", shape.right)
                    };
                    let value = Some(if shape.secret { MASK.to_owned() } else { raw::shown(value) });
                    let error = ConfigError { key: key.clone(), value, source: named.clone(), problem };
                    self.reader.errors.push(error);
                }
            }
            source = (named != DEFAULT_SOURCE).then_some(named);
        }
        self.reader.entries.push(Entry { key, literal: (shape.literal)(&effective), source });
        effective
    }
}
