//! `auth.api_keys`: keys that are good by themselves, known by their hashes.

use figment::value::{Dict, Value};
use sluice_wire::TopicPattern;

use super::PATTERNS;
use crate::config::raw;
use crate::config::section::Section;
use crate::config::takes::{Column, Form, Takes};

/// A key and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub hash: String,
    /// Topics that it may read.
    pub subscribe: Vec<TopicPattern>,
    /// Topics that it may publish to.
    pub publish: Vec<TopicPattern>,
    /// Whether it may revoke credentials.
    pub revoke: bool,
}

const RIGHT: &str = "must be an array of tables such as { name = \"shop\", hash = \"sha256:..\", publish = [\"orders/**\"] }; \
                     `sluice key` makes a key and prints its table";

impl ApiKey {
    pub(super) fn read_tables(section: &mut Section<'_>) -> Vec<Self> {
        let takes = Takes::secret(Form::Tables(Self::columns()), RIGHT);
        section.tables("api_keys", takes, Self::literal, Self::read)
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::required("name", Form::Text),
            Column::required("hash", Form::Text),
            Column::optional("subscribe", Form::Texts),
            Column::optional("publish", Form::Texts),
            Column::optional("revoke", Form::Switch),
        ]
    }

    fn read(table: &Dict) -> Result<Self, String> {
        let mut key = Self {
            name: String::new(),
            hash: String::new(),
            subscribe: Vec::new(),
            publish: Vec::new(),
            revoke: false,
        };
        for (name, value) in table {
            match name.as_str() {
                "name" => key.name = raw::text(value).unwrap_or_default(),
                "hash" => key.hash = raw::text(value).unwrap_or_default(),
                "subscribe" => key.subscribe = patterns(name, value)?,
                "publish" => key.publish = patterns(name, value)?,
                "revoke" => key.revoke = switch(name, value)?,
                _ => {}
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        if key.name.is_empty() || key.name.len() > 64 || !key.name.chars().all(plain) {
            return Err("its name must be 1 to 64 characters of A-Z a-z 0-9 . _ - @".to_owned());
        }
        let digits = key.hash.strip_prefix("sha256:").unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("its hash must be sha256: and 64 hexadecimal digits, never the key itself".to_owned());
        }
        Ok(key)
    }

    fn literal(&self) -> String {
        let list = |patterns: &[TopicPattern]| {
            let patterns: Vec<String> = patterns.iter().map(|p| raw::quoted(p.as_str())).collect();
            format!("[{}]", patterns.join(", "))
        };
        format!(
            "{{ name = {}, hash = \"sha256:***\", subscribe = {}, publish = {}, revoke = {} }}",
            raw::quoted(&self.name),
            list(&self.subscribe),
            list(&self.publish),
            self.revoke
        )
    }
}

fn switch(key: &str, value: &Value) -> Result<bool, String> {
    let given = raw::text(value).and_then(|text| text.parse().ok());
    given.ok_or_else(|| format!("{key} must be true or false"))
}

fn patterns(key: &str, value: &Value) -> Result<Vec<TopicPattern>, String> {
    let items = raw::items(value).ok_or_else(|| format!("{key} {PATTERNS}"))?;
    items.iter().map(|text| TopicPattern::parse(text).map_err(|error| format!("{key}: {error}"))).collect()
}
