//! The scaffolding of a process from outside: configuration through real files, the operations listener over
//! real sockets, signals from the kernel.

mod config;
mod lifecycle;
mod masking;
mod ops;
mod telemetry;
