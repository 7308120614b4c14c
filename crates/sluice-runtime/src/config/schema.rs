//! The configuration as a JSON Schema (draft 2020-12): its types and ranges are those that the sections read by, its
//! texts the comments of the defaults.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::layers::DEFAULTS;
use super::reader::Entry;
use super::takes::{Form, Takes};

/// What [`super::unit::parse_bytes`] reads.
const SIZE: &str = "^[0-9]+ ?(B|KiB|MiB|GiB)?$";

/// The schema of a TOML file that has some of the keys of `entries`, whose values are the defaults.
pub(super) fn schema(entries: &[Entry]) -> Value {
    let texts = comments(DEFAULTS);
    let mut root = object();
    for entry in entries {
        let mut node = &mut root;
        let mut path = String::new();
        let (sections, key) = entry.key.rsplit_once('.').unwrap_or(("", &entry.key));
        for section in sections.split('.') {
            path = if path.is_empty() { section.to_owned() } else { format!("{path}.{section}") };
            node = properties(node).entry(section).or_insert_with(|| described(object(), texts.get(&path)));
        }
        let text = sentence(texts.get(&entry.key), &entry.takes);
        properties(node).insert(key.to_owned(), described(of_key(entry), Some(&text)));
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Configuration of Sluice");
    root["description"] = json!(
        "A file for --config. Variables (SLUICE_SECTION__KEY) and --set take the same values as text. What keys \
         demand of each other is checked by `sluice config`."
    );
    root
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

fn properties(node: &mut Value) -> &mut Map<String, Value> {
    let inner = node.as_object_mut().and_then(|map| map.get_mut("properties")).and_then(Value::as_object_mut);
    #[expect(clippy::expect_used, reason = "a section is made by object(), and no key is named as a section")]
    inner.expect("a section has properties")
}

fn described(mut schema: Value, text: Option<&String>) -> Value {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        schema["description"] = json!(text);
    }
    schema
}

fn of_key(entry: &Entry) -> Value {
    let mut schema = of_form(&entry.takes.form);
    if entry.takes.secret {
        schema["writeOnly"] = json!(true);
    } else if let Some(default) = default_of(&entry.literal) {
        schema["default"] = default;
    }
    schema
}

fn default_of(literal: &str) -> Option<Value> {
    let mut document: Map<String, Value> = toml::from_str(&format!("value = {literal}")).ok()?;
    document.remove("value")
}

fn of_form(form: &Form) -> Value {
    match form {
        Form::Number { least, most, unit } => {
            let mut schema = json!({ "type": "integer", "minimum": least, "maximum": most });
            if let Some(unit) = unit {
                schema["x-unit"] = json!(unit);
            }
            schema
        }
        Form::Size { least, most } => json!({
            "type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": SIZE, "x-unit": "bytes",
        }),
        Form::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Form::Switch => json!({ "type": "boolean" }),
        Form::Word(words) => json!({ "type": "string", "enum": words }),
        Form::Text => json!({ "type": "string" }),
        Form::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Form::Words(words) => json!({ "type": "array", "items": { "type": "string", "enum": words } }),
        Form::Pairs => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Form::Tables(columns) => {
            let mut table = object();
            for column in columns {
                properties(&mut table).insert(column.name.to_owned(), of_form(&column.form));
            }
            let required: Vec<&str> = columns.iter().filter(|c| c.required).map(|c| c.name).collect();
            if !required.is_empty() {
                table["required"] = json!(required);
            }
            json!({ "type": "array", "items": table })
        }
    }
}

/// The comment of a key, and what is right where the type does not say it.
fn sentence(comment: Option<&String>, takes: &Takes) -> String {
    let told = matches!(takes.form, Form::Number { .. } | Form::Share | Form::Switch | Form::Word(_))
        || takes.right == "must be a text";
    let comment = comment.map_or("", String::as_str);
    if told { comment.to_owned() } else { format!("{comment} It {}.", takes.right).trim_start().to_owned() }
}

/// The comment above each section and key, by its dotted name. One holds for all keys down to the next.
fn comments(text: &str) -> BTreeMap<String, String> {
    let (mut section, mut comment, mut open) = ("", String::new(), false);
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix('#') {
            if !std::mem::replace(&mut open, true) {
                comment.clear();
            }
            // What is indented is an example in TOML.
            let words = if words.starts_with("   ") { "" } else { words };
            for word in words.split_whitespace() {
                comment.push_str(if comment.is_empty() { "" } else { " " });
                comment.push_str(word);
            }
            continue;
        }
        open = false;
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            found.insert(name.to_owned(), std::mem::take(&mut comment));
        } else if let Some((key, _)) = line.split_once(" = ") {
            found.insert(format!("{section}.{key}"), comment.clone());
        } else {
            comment.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Role};

    #[test]
    fn every_section_and_key_is_explained() {
        let texts = comments(DEFAULTS);
        let silent: Vec<&String> =
            texts.iter().filter(|(_, text)| text.is_empty()).map(|(name, _)| name).collect();
        assert_eq!(silent, Vec::<&String>::new(), "defaults.toml has no comment for them");
    }

    #[test]
    fn the_kept_schema_is_this_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.schema.json");
        let schema = Config::schema(Role::Gateway).unwrap();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, format!("{schema:#}\n")).unwrap();
        }
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(kept == schema, "run `BLESS=1 make chart`");
    }

    #[test]
    fn the_schema_says_what_sections_read_by() {
        let schema = Config::schema(Role::Gateway).unwrap();
        let key = |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")).clone();
        let heartbeat = key("/properties/streams/properties/heartbeat_ms");
        assert_eq!(heartbeat["maximum"], 600_000);
        assert_eq!(
            (&heartbeat["default"], &heartbeat["x-unit"]),
            (&json!(15_000), &json!("ms")),
            "{heartbeat}"
        );
        let on_lag = key("/properties/streams/properties/on_lag");
        assert_eq!(on_lag["enum"], json!(["catch-up", "disconnect"]));
        let password = key("/properties/redis/properties/sentinel/properties/password");
        assert_eq!((&password["writeOnly"], password.get("default")), (&json!(true), None));
        let rule = key("/properties/topics/properties/rules/items");
        assert_eq!(rule["required"], json!(["pattern"]));
        let size = key("/properties/topics/properties/event_bytes_max");
        assert_eq!(size["default"], 262_144);
    }
}
