//! Foreign hands: whatever somebody writes to Redis, nodes live on, stay quiet, and lose, repeat or reorder nothing
//! without a word.
//!
//! A slice with a fixed seed runs always. The soak (`make hands`) takes as long as one likes and is asked for.

mod slice;
mod soak;

use std::path::PathBuf;

use sluice_testkit::Soak;

use crate::stage::SLUICE;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sluice-broker/scripts/publish.lua");

/// A soak of the binary under test, or of the one that `SLUICE_HANDS_BINARY` names, such as one of an earlier release.
fn soak_with(seed: u64) -> Soak {
    let binary = std::env::var_os("SLUICE_HANDS_BINARY").filter(|binary| !binary.is_empty());
    Soak::new(binary.map_or_else(|| PathBuf::from(SLUICE), PathBuf::from), SCRIPT, seed)
}
