//! What the tests of Sluice stand on: real servers and nodes on free ports, a TCP proxy that injects faults,
//! clients that read streams as a browser does, and the count of what was lost, repeated or reordered.
//!
//! Dev-only: no crate depends on it outside its tests. Nothing here imitates Redis or a node; what fails to
//! start is an error that says what to install. A test is skipped only for want of an optional program, and says so
//! ([`find_tool`]). Everything that is started ends when its value is dropped.

mod books;
mod certificates;
mod continuity;
mod deadline;
mod experiment;
mod http;
mod node;
mod ports;
mod process;
mod proxy;
mod publish;
mod raw;
mod redis_cli;
mod redis_cluster;
mod redis_server;
mod resuming;
mod secure;
mod sentinel_set;
mod soak;
mod sse;
mod tokens;
mod tools;

pub use self::books::{Books, ClientBook, Duty, Told, Verdict};
pub use self::certificates::Certificates;
pub use self::continuity::{ClientLedger, Continuity, Ledger, Publication, Start};
pub use self::deadline::{Attempt, eventually};
pub use self::experiment::{Experiment, Fault, Outcome, Recovery, Topology};
pub use self::http::{Response, get, request};
pub use self::node::{Node, NodeBuilder, Role};
pub use self::ports::free_address;
pub use self::proxy::{Direction, Proxy};
pub use self::publish::{publish_batch, publish_http, publish_with};
pub use self::raw::RawConnection;
pub use self::redis_cli::RedisCli;
pub use self::redis_cluster::{RedisCluster, RedisClusterBuilder, SlotMigration};
pub use self::redis_server::{RedisServer, RedisServerBuilder};
pub use self::resuming::Resuming;
pub use self::sentinel_set::{SentinelSet, SentinelSetBuilder};
pub use self::soak::{Soak, SoakFailure, SoakReport};
pub use self::sse::{SseOptions, SseStream, Transport, is_control};
pub use self::tokens::{DocumentServer, TokenSigner, key_set};
pub use self::tools::{find_tool, skip_without};
pub use sluice_wire::sse::{Item, Received};
