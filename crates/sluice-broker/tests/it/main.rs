//! The broker against real servers: one conformance suite for every backend, and what only Redis can do.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod conformance;
mod faults;
mod follower;
mod foreign;
mod journal;
mod listening;
mod redis;
mod stage;
