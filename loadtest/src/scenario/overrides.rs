//! `key=value` from the command line, laid over a scenario's TOML. A key is a dotted path; an element of an
//! array is named by its place or by its `name`: `parts.idle.streams.0.count=500`.

use anyhow::{Context as _, Result, bail};
use toml::Value;

/// Applies one assignment. Whether the key exists at all is found when the whole is read again.
pub(super) fn apply(root: &mut Value, assignment: &str) -> Result<()> {
    let Some((path, text)) = assignment.split_once('=') else {
        bail!("{assignment:?} is no override; write key=value");
    };
    let mut keys: Vec<&str> = path.split('.').collect();
    let last =
        keys.pop().filter(|key| !key.is_empty()).with_context(|| format!("{assignment:?} has no key"))?;
    let mut place = root;
    for key in keys {
        place = step(place, key).with_context(|| format!("override {assignment:?}: there is no {key:?}"))?;
    }
    match place {
        Value::Table(table) => drop(table.insert(last.to_owned(), value(text))),
        _ => {
            let place = step(place, last)
                .with_context(|| format!("override {assignment:?}: there is no {last:?}"))?;
            *place = value(text);
        }
    }
    Ok(())
}

fn step<'a>(place: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match place {
        Value::Table(table) => table.get_mut(key),
        Value::Array(items) => {
            let by_name = items.iter().position(|item| item.get("name").and_then(Value::as_str) == Some(key));
            items.get_mut(by_name.or_else(|| key.parse().ok())?)
        }
        _ => None,
    }
}

/// A TOML value, or plain text where it is none.
fn value(text: &str) -> Value {
    toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
