//! What a key takes, said once: its error messages and the schema of the configuration are made of the same words.

use std::fmt::Display;
use std::ops::RangeInclusive;

use figment::value::Dict;

/// What a key takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Takes {
    /// Its type, as far as a schema can say it.
    pub(super) form: Form,
    /// What is right, as the end of a sentence about the key.
    pub(super) right: String,
    /// Whether a value must never be shown as it was given.
    pub(super) secret: bool,
}

/// A type of value. Each is also read from text, as a variable or a flag gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A whole number; a duration has its unit.
    Number { least: u64, most: u64, unit: Option<&'static str> },
    /// A number of bytes, or text with a unit.
    Size { least: usize, most: usize },
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Switch,
    /// One of some words.
    Word(Vec<String>),
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// A list of some words.
    Words(&'static [&'static str]),
    /// Names and texts.
    Pairs,
    /// A list of tables.
    Tables(Vec<Column>),
}

/// A key of the tables of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) required: bool,
}

impl Takes {
    /// What only the key itself can judge.
    pub(super) fn new(form: Form, right: &str) -> Self {
        Self { form, right: right.to_owned(), secret: false }
    }

    /// The same, of what must never be shown.
    pub(super) fn secret(form: Form, right: &str) -> Self {
        Self { secret: true, ..Self::new(form, right) }
    }

    /// A whole number. `unit` is `s` or `ms` for a duration.
    pub(super) fn number<T>(range: &RangeInclusive<T>, unit: Option<&'static str>) -> Self
    where
        T: Display + Copy + TryInto<u64>,
    {
        let bound = |number: T, otherwise| number.try_into().unwrap_or(otherwise);
        let (least, most) = (*range.start(), *range.end());
        let right = format!("must be a whole number from {least} to {most}");
        Self::new(Form::Number { least: bound(least, 0), most: bound(most, u64::MAX), unit }, &right)
    }

    /// A size.
    pub(super) fn size(range: &RangeInclusive<usize>) -> Self {
        let (least, most) = (*range.start(), *range.end());
        let right =
            format!("must be a size from {least} to {most} bytes, such as 65536, \"64KiB\" or \"1MiB\"");
        Self::new(Form::Size { least, most }, &right)
    }

    /// `true` or `false`.
    pub(super) fn switch() -> Self {
        Self::new(Form::Switch, "must be true or false")
    }

    /// A share of a whole.
    pub(super) fn share() -> Self {
        Self::new(Form::Share, "must be a number from 0 to 1")
    }

    /// One of some words.
    pub(super) fn word<'w>(words: impl Iterator<Item = &'w str>) -> Self {
        let words: Vec<String> = words.map(str::to_owned).collect();
        let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        Self::new(Form::Word(words), &format!("must be {}", quoted.join(" or ")))
    }
}

impl Form {
    /// The keys of its tables.
    pub(super) fn columns(&self) -> &[Column] {
        if let Self::Tables(columns) = self { columns } else { &[] }
    }
}

impl Column {
    /// A key that may be left out.
    pub(super) fn optional(name: &'static str, form: Form) -> Self {
        Self { name, form, required: false }
    }

    /// A key that each table must have.
    pub(super) fn required(name: &'static str, form: Form) -> Self {
        Self { name, form, required: true }
    }

    /// Whether a table of a list has what it must have, and nothing else. Its values are others' to judge.
    pub(super) fn check(columns: &[Self], table: &Dict) -> Result<(), String> {
        let names = || columns.iter().map(|column| column.name);
        if let Some(unknown) = table.keys().find(|key| !names().any(|name| name == key.as_str())) {
            let known: Vec<&str> = names().collect();
            return Err(format!("there is no {unknown:?} in it; there are {}", known.join(", ")));
        }
        let missing = columns.iter().find(|column| column.required && !table.contains_key(column.name));
        missing.map_or(Ok(()), |column| Err(format!("it has no {}", column.name)))
    }
}
