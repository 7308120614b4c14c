//! The real binary from end to end: one redis-server, gateways, a publisher, clients, and what goes wrong
//! between them.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod access;
mod answers;
mod attacks;
mod browser;
mod cli;
mod cluster_limit;
mod configuring;
mod crowd;
mod doctor;
mod drain;
mod ending;
mod exhausted;
mod extremes;
mod foreign;
mod hands;
mod inspecting;
mod killed;
mod limits;
mod lines;
mod lingering;
mod live;
mod many_topics;
mod metrics;
mod openapi;
mod outage;
mod panicking;
mod proxies;
mod readiness;
mod redis_load;
mod reliability;
mod resuming;
mod slow;
mod stage;
mod stalled;
mod starting;
mod storm;
mod tracing;
mod upgrading;
