//! Where events live. The only crate that may use `redis` and `deadpool-redis`.
//!
//! [`Broker`] is the one seam of Sluice, with two backends that [`connect`] chooses between: Redis for
//! production, the embedded [`MemoryBroker`] for `sluice dev` and tests; one conformance suite
//! (`tests/it/conformance`) holds both. [`Replay`] reads a log from a position and tells gaps; [`Follower`]
//! keeps a node's active topics gapless and in order on top of announcements that may be lost.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod away;
mod backoff;
mod broker;
mod clock;
mod connect;
mod continuity;
mod follower;
mod holding;
mod memory;
mod partition;
mod redis;
mod replay;
mod retention;
mod url;

pub use away::Away;
pub use broker::{
    AccessCheck, Announcement, Appended, Broker, BrokerError, CountedBack, Duties, Listener, LogHead, Page,
    ReplicaWait, Replicas, Subscriber, SubscriberHealth, Tail, Tails,
};
pub use clock::now_ms;
pub use connect::{BrokerSettings, connect};
pub use follower::{Follower, FollowerSettings, FollowerStatus, Reserved, Sink};
pub use holding::Holding;
pub use memory::{ForeignWrite, MemoryBroker, MemorySettings};
pub use partition::Partition;
pub use redis::{
    Asked, ClockSkew, Fields, PUBLISH_SCRIPT, RedisBroker, RedisFacts, RedisLogin, RedisSettings, RedisTls,
    SettingsFault, settings_faults,
};
pub use replay::{
    Gap, GapReason, Replay, ReplayPage, ReplaySettings, Start, position_before_last, resolve_since,
    resolve_since_each, settle, settle_each, settled_ms,
};
pub use retention::{Retention, RetentionPolicies};
pub use url::{BrokerUrl, BrokerUrlError};
