//! Shards on real sockets.

mod ending;
mod lagging;
mod serving;
mod stage;
