//! Where events live. The only crate that may use `redis` and `deadpool-redis`.
//!
//! [`Broker`] is the one seam of Sluice: [`redis`](RedisBroker) for clusters, [`memory`](MemoryBroker) for
//! `sluice dev` and tests; one conformance suite (`tests/it/conformance`) holds both. [`Replay`] reads a log
//! from a position and tells gaps; [`Follower`] keeps a node's active topics gapless and in order on top of
//! announcements that may be lost.

mod broker;

pub use broker::{Announcement, Appended, Broker, BrokerError, Listener, LogHead, Page, Subscriber, Tail, Tails};
