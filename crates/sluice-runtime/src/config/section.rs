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
use super::reader::{Entry, Reader};
use super::secret::MASK;
use super::takes::{Column, Form, Takes};
use super::unit::parse_bytes;

/// What a key takes, and how its value is rendered.
struct Shape<'s, T> {
    takes: Takes,
    literal: &'s dyn Fn(&T) -> String,
    /// What may be shown of a secret that is wrong.
    mask: Option<fn(&str) -> String>,
}

impl<'s, T> Shape<'s, T> {
    fn new(takes: Takes, literal: &'s dyn Fn(&T) -> String) -> Self {
        Self { takes, literal, mask: None }
    }
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
        T: FromStr + Display + PartialOrd + Copy + TryInto<u64>,
    {
        self.number(key, default, &range, None)
    }

    /// A duration in milliseconds.
    pub(super) fn millis(&mut self, key: &str, default: Duration, range: RangeInclusive<u64>) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(key, default, &range, Some("ms")))
    }

    /// A duration in seconds.
    pub(super) fn seconds(&mut self, key: &str, default: Duration, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(key, default.as_secs(), &range, Some("s")))
    }

    /// A duration in seconds, where 0 switches off.
    pub(super) fn seconds_or_off(
        &mut self,
        key: &str,
        default: Option<Duration>,
        most: u64,
    ) -> Option<Duration> {
        let duration = self.seconds(key, default.unwrap_or_default(), 0..=most);
        (!duration.is_zero()).then_some(duration)
    }

    fn number<T>(&mut self, key: &str, default: T, range: &RangeInclusive<T>, unit: Option<&'static str>) -> T
    where
        T: FromStr + Display + PartialOrd + Copy + TryInto<u64>,
    {
        let shape = Shape::new(Takes::number(range, unit), &T::to_string);
        self.scalar(key, default, shape, |text| {
            text.parse().ok().filter(|number| range.contains(number)).ok_or(String::new())
        })
    }

    /// A size.
    pub(super) fn bytes(&mut self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let shape = Shape::new(Takes::size(&range), &usize::to_string);
        self.scalar(key, default, shape, |text| {
            parse_bytes(text).filter(|bytes| range.contains(bytes)).ok_or(String::new())
        })
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &str, default: bool) -> bool {
        let shape = Shape::new(Takes::switch(), &bool::to_string);
        self.scalar(key, default, shape, |text| text.parse().map_err(|_| String::new()))
    }

    /// A share of a whole, from 0 to 1.
    pub(super) fn ratio(&mut self, key: &str, default: Ratio) -> Ratio {
        self.scalar(key, default, Shape::new(Takes::share(), &Ratio::to_string), str::parse)
    }

    /// One of a few words.
    pub(super) fn choice<T: PartialEq + Clone>(&mut self, key: &str, default: T, words: &[(&str, T)]) -> T {
        let word = |value: &T| words.iter().find(|(_, v)| v == value).map_or("", |(word, _)| word);
        let takes = Takes::word(words.iter().map(|(word, _)| *word));
        let quoted = |value: &T| raw::quoted(word(value));
        let shape = Shape::new(takes, &quoted);
        self.scalar(key, default, shape, |text| {
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
        self.shown(key, default, Takes::new(Form::Text, right))
    }

    /// As [`Self::parsed`], of a text that must never be shown as it was given; `T` shows itself masked.
    pub(super) fn secret<T: FromStr<Err: Display> + Display>(
        &mut self,
        key: &str,
        default: T,
        right: &str,
    ) -> T {
        self.shown(key, default, Takes::secret(Form::Text, right))
    }

    /// As [`Self::secret`], of a text of which `mask` leaves what may be shown; what `T` says to be wrong is a whole
    /// sentence.
    pub(super) fn masked<T: FromStr<Err: Display> + Display>(
        &mut self,
        key: &str,
        default: T,
        right: &str,
        mask: fn(&str) -> String,
    ) -> T {
        let literal = |value: &T| raw::quoted(&value.to_string());
        let shape = Shape { takes: Takes::secret(Form::Text, right), literal: &literal, mask: Some(mask) };
        self.scalar(key, default, shape, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    fn shown<T: FromStr<Err: Display> + Display>(&mut self, key: &str, default: T, takes: Takes) -> T {
        let quoted = |value: &T| raw::quoted(&value.to_string());
        let shape = Shape::new(takes, &quoted);
        self.scalar(key, default, shape, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// Text that `check` accepts.
    pub(super) fn text(
        &mut self,
        key: &str,
        default: String,
        right: &str,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> String {
        let takes = Takes::new(Form::Text, right);
        let quoted = |value: &String| raw::quoted(value);
        let shape = Shape::new(takes, &quoted);
        self.scalar(key, default, shape, |text| check(text).map(|()| text.to_owned()))
    }

    /// A list of texts: an array, or as text either TOML's array or items between commas.
    pub(super) fn list<T: Display>(
        &mut self,
        key: &str,
        default: Vec<T>,
        right: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.items(key, default, Takes::new(Form::Texts, right), parse)
    }

    /// A list of some of `words`; `parse` says what is wrong with one that is none of them.
    pub(super) fn words<T: Display>(
        &mut self,
        key: &str,
        words: &'static [&'static str],
        right: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.items(key, Vec::new(), Takes::new(Form::Words(words), right), parse)
    }

    fn items<T: Display>(
        &mut self,
        key: &str,
        default: Vec<T>,
        takes: Takes,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let literal = |items: &Vec<T>| {
            let items: Vec<String> = items.iter().map(|item| raw::quoted(&item.to_string())).collect();
            format!("[{}]", items.join(", "))
        };
        self.value(key, default, Shape::new(takes, &literal), |value| {
            raw::items(value).ok_or(String::new())?.iter().map(|item| parse(item)).collect()
        })
    }

    /// A list of tables of the columns that `takes` names. Where it is secret, `literal` masks what must never be
    /// shown, and what `parse` finds wrong does not repeat it.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        takes: Takes,
        literal: impl Fn(&T) -> String,
        parse: impl Fn(&Dict) -> Result<T, String>,
    ) -> Vec<T> {
        let literal = |items: &Vec<T>| {
            let items: Vec<String> = items.iter().map(&literal).collect();
            format!("[{}]", items.join(", "))
        };
        let columns = takes.form.columns().to_vec();
        self.value(key, Vec::new(), Shape::new(takes, &literal), |value| {
            let tables = raw::tables(value).ok_or(String::new())?;
            let one = |table: &Dict| Column::check(&columns, table).and_then(|()| parse(table));
            let numbered = tables.iter().enumerate();
            numbered.map(|(at, table)| one(table).map_err(|why| format!("entry {}: {why}", at + 1))).collect()
        })
    }

    /// Reports that values which are right by themselves do not fit together.
    pub(super) fn refuse(&mut self, key: &str, problem: &str) {
        self.reader.refuse(&format!("{}.{key}", self.name), problem);
    }

    /// Names and values: a table, or as text `name=value` between commas. `parse` checks a pair.
    pub(super) fn pairs<V: Display>(
        &mut self,
        key: &str,
        right: &str,
        parse: impl Fn(&str, &str) -> Result<V, String>,
    ) -> Vec<(String, V)> {
        self.named(key, Takes::new(Form::Pairs, right), parse)
    }

    /// As [`Self::pairs`], of values that must never be shown as they were given; `V` shows itself masked.
    pub(super) fn secret_pairs<V: Display>(
        &mut self,
        key: &str,
        right: &str,
        parse: impl Fn(&str, &str) -> Result<V, String>,
    ) -> Vec<(String, V)> {
        self.named(key, Takes::secret(Form::Pairs, right), parse)
    }

    fn named<V: Display>(
        &mut self,
        key: &str,
        takes: Takes,
        parse: impl Fn(&str, &str) -> Result<V, String>,
    ) -> Vec<(String, V)> {
        let literal = |pairs: &Vec<(String, V)>| table(pairs);
        let shape = Shape::new(takes, &literal);
        self.value(key, Vec::new(), shape, |value| {
            let pairs = raw::pairs(value).ok_or(String::new())?.into_iter();
            pairs.map(|(name, value)| parse(&name, &value).map(|value| (name, value))).collect()
        })
    }

    fn scalar<T>(
        &mut self,
        key: &str,
        default: T,
        shape: Shape<'_, T>,
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
        shape: Shape<'_, T>,
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
        let literal = (shape.literal)(&effective);
        self.reader.record(Entry { key, literal, source, takes: shape.takes });
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
        let Takes { right, secret, .. } = &self.takes;
        let quotes = !secret && shown.contains(MASK);
        if let Some(mask) = self.mask {
            let given = raw::text(value).unwrap_or_default();
            let value = (!given.is_empty()).then(|| raw::quoted(&mask(&given)));
            let problem = if why.is_empty() { right.clone() } else { why.to_owned() };
            return ConfigError { key, value, source, problem };
        }
        let problem = if why.is_empty() || quotes { right.clone() } else { format!("{why}; {right}") };
        let value = Some(if *secret { MASK.to_owned() } else { shown });
        ConfigError { key, value, source, problem }
    }
}
