//! Server-Sent Events in both directions, after the WHATWG HTML standard, section "Server-sent events".
//! What [`Frame`] writes, [`Decoder`] reads back unchanged, and no payload can make either see a field that
//! is not there.

mod decode;
mod encode;
mod head;

pub use decode::{Decoder, Item, ItemRef, Received, ReceivedRef};
pub use encode::Frame;
pub use head::{Head, head};

/// The type of an event without an `event` field.
pub const DEFAULT_EVENT_TYPE: &str = "message";

/// The type of an event whose only content is the cursor in its `id`.
pub const CURSOR_EVENT_TYPE: &str = "sluice.cursor";
