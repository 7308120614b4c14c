//! Values before a key has said what they are. Text is the common form: `15000` in a file and `"15000"` from
//! the environment are the same.

use figment::value::{Dict, Value};

use super::secret::MASK;

/// A scalar as text; `None` for arrays, tables and nothing.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.trim().to_owned()),
        Value::Char(_, character) => Some(character.to_string()),
        Value::Bool(_, truth) => Some(truth.to_string()),
        Value::Num(_, _) => {
            let whole = value.to_i128().map(|number| number.to_string());
            let whole = whole.or_else(|| value.to_u128().map(|number| number.to_string()));
            whole.or_else(|| value.to_f64().map(|number| number.to_string()))
        }
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

/// The items of a list of scalars.
pub(super) fn items(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(_, items) => items.iter().map(text).collect(),
        Value::String(_, given) if given.trim_start().starts_with('[') => items(&array(given)?),
        Value::String(_, given) => {
            Some(given.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// The items of a list of tables.
pub(super) fn tables(value: &Value) -> Option<Vec<Dict>> {
    match value {
        Value::Array(_, items) => items.iter().map(|item| item.as_dict().cloned()).collect(),
        Value::String(_, given) if given.trim().is_empty() => Some(Vec::new()),
        Value::String(_, given) => tables(&array(given)?),
        _ => None,
    }
}

/// Names and values: a table, whose inner tables stand for dotted names, or `name=value` between commas.
pub(super) fn pairs(value: &Value) -> Option<Vec<(String, String)>> {
    match value {
        Value::Dict(_, table) => {
            let mut pairs = Vec::new();
            flatten("", table, &mut pairs)?;
            Some(pairs)
        }
        Value::String(_, given) => {
            let items = given.split(',').map(str::trim).filter(|item| !item.is_empty());
            let pair = |item: &str| {
                let (name, value) = item.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().to_owned()))
            };
            items.map(pair).collect()
        }
        _ => None,
    }
}

fn flatten(path: &str, table: &Dict, pairs: &mut Vec<(String, String)>) -> Option<()> {
    for (name, value) in table {
        let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Dict(_, inner) => flatten(&name, inner, pairs)?,
            scalar => pairs.push((name, text(scalar)?)),
        }
    }
    Some(())
}

/// An array written as TOML.
fn array(text: &str) -> Option<Value> {
    let mut document: Dict = toml::from_str(&format!("items = {}", text.trim())).ok()?;
    document.remove("items").filter(|items| matches!(items, Value::Array(..)) && document.is_empty())
}

/// `value` for an error message: short, and without anything that looks like a login in a URL.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::Dict(..) => return "a table".to_owned(),
        Value::Array(_, items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            return format!("[{}]", items.join(", "));
        }
        Value::String(_, given) => quoted(given),
        scalar => text(scalar).unwrap_or_default(),
    };
    if text.contains("://") && text.contains('@') {
        return MASK.to_owned();
    }
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}...", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

const SHOWN_CHARACTERS_MAX: usize = 80;

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_arrays_or_commas_or_arrays_in_text() {
        let expected = Some(vec!["a/*".to_owned(), "b".to_owned()]);
        assert_eq!(items(&Value::from(vec!["a/*", "b"])), expected);
        assert_eq!(items(&Value::from(" a/* , b,")), expected);
        assert_eq!(items(&Value::from(r#"["a/*", "b"]"#)), expected);
        assert_eq!(items(&Value::from("")), Some(Vec::new()));
        assert_eq!(items(&Value::from("[")), None);
        assert_eq!(items(&Value::from("[]\nother = 1")), None);
        assert_eq!(items(&Value::from(7)), None);
    }

    #[test]
    fn pairs_are_tables_or_commas() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = Some(vec![pair("a.b", "1"), pair("c", "x=y")]);
        assert_eq!(pairs(&Value::from(" a.b = 1, c=x=y,")), expected);
        let inner = Dict::from([("b".to_owned(), Value::from(1))]);
        let outer = [("a".to_owned(), Value::from(inner)), ("c".to_owned(), Value::from("x=y"))];
        assert_eq!(pairs(&Value::from(Dict::from(outer))), expected);
        assert_eq!(pairs(&Value::from("")), Some(Vec::new()));
        assert_eq!(pairs(&Value::from("a")), None);
        assert_eq!(pairs(&Value::from(vec!["a=b"])), None);
    }

    #[test]
    fn scalars_are_their_text() {
        assert_eq!(text(&Value::from(15_000)).as_deref(), Some("15000"));
        assert_eq!(text(&Value::from(-1)).as_deref(), Some("-1"));
        assert_eq!(text(&Value::from(1.5)).as_deref(), Some("1.5"));
        assert_eq!(text(&Value::from(true)).as_deref(), Some("true"));
        assert_eq!(text(&Value::from(vec![1])), None);
    }

    #[test]
    fn what_is_shown_is_short_and_hides_logins() {
        assert_eq!(shown(&Value::from("redis://:hunter2@h")), "***");
        assert_eq!(shown(&Value::from("x".repeat(200))).len(), SHOWN_CHARACTERS_MAX + 3);
        assert_eq!(shown(&Value::from(vec!["a", "b"])), r#"["a", "b"]"#);
    }
}
