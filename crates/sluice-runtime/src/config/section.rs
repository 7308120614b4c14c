//! Reading a section key by key: each method is a type of value, says what is right, and never fails; a
//! mistake is taken down and the default stands in, so that the next key is read too.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use figment::value::{Dict, Value};

use super::error::ConfigError;
use super::ratio::Ratio;
use super::raw;
use super::reader::Reader;
use super::secret::MASK;
use super::unit::parse_bytes;

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

impl<'r> Section<'r> {
    pub(super) fn new(reader: &'r mut Reader, name: &'static str) -> Self {
        Self { reader, name }
    }

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
        self.all_tables(key, (right, false), literal, parse)
    }

    /// As [`Self::tables`], of tables that hold what must never be shown as it was given. `literal` masks it, and
    /// what `parse` finds wrong does not repeat it.
    pub(super) fn secret_tables<T>(
        &mut self,
        key: &str,
        right: &str,
        literal: impl Fn(&T) -> String,
        parse: impl Fn(&Dict) -> Result<T, String>,
    ) -> Vec<T> {
        self.all_tables(key, (right, true), literal, parse)
    }

    /// Reports that values which are right by themselves do not fit together.
    pub(super) fn refuse(&mut self, key: &str, problem: &str) {
        self.reader.refuse(&format!("{}.{key}", self.name), problem);
    }

    fn all_tables<T>(
        &mut self,
        key: &str,
        (right, secret): (&str, bool),
        literal: impl Fn(&T) -> String,
        parse: impl Fn(&Dict) -> Result<T, String>,
    ) -> Vec<T> {
        let literal = |items: &Vec<T>| {
            let items: Vec<String> = items.iter().map(&literal).collect();
            format!("[{}]", items.join(", "))
        };
        let shape = Shape { right, secret, literal: &literal };
        self.value(key, Vec::new(), &shape, |value| {
            let tables = raw::tables(value).ok_or(String::new())?;
            let numbered = tables.iter().enumerate();
            numbered
                .map(|(at, table)| parse(table).map_err(|why| format!("entry {}: {why}", at + 1)))
                .collect()
        })
    }

    /// A share of a whole, from 0 to 1.
    pub(super) fn ratio(&mut self, key: &str, default: Ratio) -> Ratio {
        let shape =
            Shape { right: "must be a number from 0 to 1", secret: false, literal: &Ratio::to_string };
        self.scalar(key, default, &shape, str::parse)
    }

    /// Names and values: a table, or as text `name=value` between commas. `parse` checks a pair.
    pub(super) fn pairs<V: Display>(
        &mut self,
        key: &str,
        right: &str,
        parse: impl Fn(&str, &str) -> Result<V, String>,
    ) -> Vec<(String, V)> {
        self.named(key, &Shape { right, secret: false, literal: &|pairs: &Vec<_>| table(pairs) }, parse)
    }

    /// As [`Self::pairs`], of values that must never be shown as they were given; `V` shows itself masked.
    pub(super) fn secret_pairs<V: Display>(
        &mut self,
        key: &str,
        right: &str,
        parse: impl Fn(&str, &str) -> Result<V, String>,
    ) -> Vec<(String, V)> {
        self.named(key, &Shape { right, secret: true, literal: &|pairs: &Vec<_>| table(pairs) }, parse)
    }

    fn named<V>(
        &mut self,
        key: &str,
        shape: &Shape<'_, Vec<(String, V)>>,
        parse: impl Fn(&str, &str) -> Result<V, String>,
    ) -> Vec<(String, V)> {
        self.value(key, Vec::new(), shape, |value| {
            let pairs = raw::pairs(value).ok_or(String::new())?.into_iter();
            pairs.map(|(name, value)| parse(&name, &value).map(|value| (name, value))).collect()
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
        let (effective, source) = match self.reader.find(&key) {
            None => (default, None),
            Some((value, source)) => match convert(&value) {
                Ok(effective) => (effective, Some(source)),
                Err(why) => {
                    let error = shape.error(key.clone(), &value, source.clone(), &why);
                    self.reader.error(error);
                    (default, Some(source))
                }
            },
        };
        self.reader.record(key, (shape.literal)(&effective), source);
        effective
    }
}

/// An inline table of TOML.
fn table<V: Display>(pairs: &[(String, V)]) -> String {
    let pair =
        |(name, value): &(String, V)| format!("{} = {}", raw::quoted(name), raw::quoted(&value.to_string()));
    let pairs: Vec<String> = pairs.iter().map(pair).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

impl<T> Shape<'_, T> {
    fn error(&self, key: String, value: &Value, source: String, why: &str) -> ConfigError {
        let shown = raw::shown(value);
        // A secret's parser never repeats it. Others do, so theirs is left out when something is hidden.
        let quotes = !self.secret && shown.contains(MASK);
        let problem =
            if why.is_empty() || quotes { self.right.to_owned() } else { format!("{why}; {}", self.right) };
        let value = Some(if self.secret { MASK.to_owned() } else { shown });
        ConfigError { key, value, source, problem }
    }
}
