//! The way in: a publishing library and the HTTP service on top of it.
//!
//! [`Publisher`] queues events, appends them to the broker many at a time and answers each with its id;
//! [`routes`] is the same as an HTTP service. Nothing in this crate knows where the broker keeps events, and
//! nothing is ever answered as published before the broker has said so.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod circuit;
mod circuits;
mod error;
mod http;
mod lane;
mod link;
mod measure;
mod publisher;
mod settings;
mod trace;

pub use circuit::CircuitSettings;
pub use error::PublishError;
pub use http::{
    PaceSettings, RevokeError, Revoking, RouteSettings, read_event, routes, with_problem_fallbacks,
};
pub use publisher::{OpenCircuit, Publisher, Receipt};
pub use settings::PublisherSettings;
