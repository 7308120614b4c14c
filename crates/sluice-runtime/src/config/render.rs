//! The effective configuration as a file that could be read back (but for its secrets).

use std::fmt::Write as _;

use super::reader::Entry;

/// `entries` as TOML, one table a section; what is not a default says where it came from.
pub(super) fn render(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut current = "";
    for entry in entries {
        let (section, key) = entry.key.split_once('.').unwrap_or(("", &entry.key));
        if section != current {
            if !text.is_empty() {
                text.push('\n');
            }
            writeln!(text, "[{section}]").unwrap_or_default();
            current = section;
        }
        match &entry.source {
            Some(source) => writeln!(text, "{key} = {} # {source}", entry.literal),
            None => writeln!(text, "{key} = {}", entry.literal),
        }
        .unwrap_or_default();
    }
    text
}
