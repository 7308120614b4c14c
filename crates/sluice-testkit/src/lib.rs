//! What the tests of Sluice stand on: real servers and nodes on free ports, a TCP proxy that injects faults,
//! clients that read streams as a browser does, and the count of what was lost, repeated or reordered.
//!
//! Dev-only: no crate depends on it outside its tests. Nothing here imitates Redis or a node; what fails to
//! start is an error that says what to install, never a test skipped in silence. Everything that is started
//! ends when its value is dropped.

mod deadline;
mod ports;
mod process;
mod proxy;
mod redis_cli;
mod redis_server;

pub use deadline::{Attempt, eventually};
pub use proxy::{Direction, Proxy};
pub use redis_cli::RedisCli;
pub use redis_server::{RedisServer, RedisServerBuilder};
