//! The scaffolding of a process from outside: configuration through real files, the operations listener over
//! real sockets, signals from the kernel.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod config;
mod lifecycle;
mod masking;
mod ops;
mod telemetry;
