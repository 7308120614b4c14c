//! Shards on real sockets.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod ending;
mod lagging;
mod polling;
mod serving;
mod stage;
mod surveying;
mod sweeping;
mod witnessing;
