//! The publisher against real brokers: the embedded one, held up or cut off by a gate in front of it, and Redis.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod batch;
mod circuit;
mod closing;
mod cluster;
mod gate;
mod one;
mod order;
mod pacing;
mod pressure;
mod redis;
mod replicas;
mod routing;
mod senders;
mod stage;
mod uploads;
