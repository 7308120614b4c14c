//! The fan-out engine: it knows frames and, in its shards, sockets; no HTTP, no Redis, no JSON.
//!
//! The core is pure: [`Ring`], [`Feed`] and [`View`] turn what the hub announces into numbered frames, and a
//! stream is a number in its feed's ring. Two drivers bring the frames out: [`PolledView`] for streams that
//! hyper drives, and the shards for sockets of their own.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod buckets;
mod core;
mod deadline;
mod feed;
mod fence;
mod inbox;
mod line;
mod pace;
mod polled;
mod ring;
mod set;
mod shard;
mod slot;
mod view;
mod witness;

pub use self::core::{
    Core, Dismissal, Figures, Housekeeping, Joining, Laggard, LastWords, Left, Output, Pass, Sent,
    StreamReport, Survey,
};
pub use buckets::Buckets;
pub use deadline::{Deadline, End};
pub use feed::{Feed, RingLimits, cursor_of};
pub use fence::Fence;
pub use inbox::Inbox;
pub use pace::Pace;
pub use polled::{HeldFence, Polled, PolledStream, PolledView};
pub use ring::{Framing, Ring, RingFrame, Step};
pub use set::{FeedId, Projection, TopicKey, TopicSet};
pub use shard::{Host, PASS_STREAMS, Shard, ShardSettings, ShardStatus, TURN_US};
pub use slot::{Phase, SlotKey, Token};
pub use view::{Entry, Notice, View};
pub use witness::Witness;
