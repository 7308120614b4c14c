//! What every Sluice process stands on: layered configuration, telemetry, an orderly life from start to
//! drain, and the operations listener.
//!
//! Nothing here knows a broker, a stream or a client. The other crates take plain settings structs; only the
//! binary reads a [`config::Config`] and maps it into them.

#![cfg_attr(not(test), deny(clippy::string_slice))]

pub mod cgroup;
pub mod config;
pub mod failures;
pub mod lifecycle;
pub mod limits;
pub mod memory;
pub mod ops;
pub mod telemetry;
