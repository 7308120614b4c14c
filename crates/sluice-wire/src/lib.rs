//! The vocabulary of Sluice and every byte format it speaks: topics, events, ids, cursors, the envelope on
//! Redis channels, and Server-Sent Events in both directions.
//!
//! Everything here is pure: no clock, no socket, no runtime, no Redis. A parser in this crate is the only
//! parser of its format, so that a rule about a format is written once.

#![cfg_attr(not(test), deny(clippy::string_slice))]

pub mod cursor;
pub mod envelope;
mod event;
pub mod forwarded;
mod id;
mod moment;
mod network;
mod parameter;
mod pattern;
mod percent;
mod problem;
mod proxy_header;
mod since;
pub mod sse;
mod template;
mod topic;
mod topic_path;
mod traceparent;

pub use bytestring::ByteString;
pub use event::{Event, EventType, EventTypeError, IdempotencyKey, IdempotencyKeyError, NewEvent};
pub use id::{EventId, EventIdError};
pub use moment::rfc3339;
pub use network::{Network, NetworkError};
pub use parameter::{LAST_EVENT_ID, UnknownParameter, is_last_event_id, parameter};
pub use pattern::{TopicPattern, TopicPatternError};
pub use problem::{PROBLEM_JSON, Problem};
pub use proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError};
pub use since::{Since, SinceError};
pub use template::{TopicTemplate, TopicTemplateError};
pub use topic::{Topic, TopicError};
pub use topic_path::{TopicPathError, parse_events_path};
pub use traceparent::TraceParent;
