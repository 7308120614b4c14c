//! What no grant ever opens.

use sluice_wire::Topic;

/// Topics that begin so are Sluice's own.
const RESERVED: &str = "sluice.";

/// Whether `topic` is Sluice's own, which nobody outside may read or publish to, whatever they were granted.
#[must_use]
pub fn is_reserved(topic: &Topic) -> bool {
    topic.as_str().starts_with(RESERVED)
}
