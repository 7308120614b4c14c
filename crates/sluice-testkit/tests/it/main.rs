//! The kit against real servers: it must do what it says, or every test on top of it says nothing.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

mod answers;
mod continuity;
mod http;
mod node;
mod proxy;
mod publish;
mod redis_cluster;
mod redis_server;
mod resuming;
mod sentinel_set;
mod sse;
