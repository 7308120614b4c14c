//! Panics on demand, for tests with real processes. No build for production has this module.
//!
//! `DRILL_FILE` names a file that holds the name of a place; the process panics when it next comes by there.

use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("DRILL_FILE").map(Into::into));

#[expect(clippy::panic, reason = "panicking is what a drill is for")]
pub(crate) fn run(place: &str) {
    let Some(file) = FILE.as_deref() else { return };
    let asked = std::fs::read_to_string(file).unwrap_or_default();
    // Renaming it takes the order, so that one thread alone panics, once.
    if asked.trim() == place && std::fs::rename(file, file.with_extension("taken")).is_ok() {
        panic!("a drill asked for this panic");
    }
}
