//! What no grant ever opens.

use sluice_wire::Topic;

use crate::revocation::REVOCATIONS_TOPIC;

/// Whether `topic` is Sluice's own, which nobody outside may read or publish to, whatever they were granted.
#[must_use]
pub fn is_reserved(topic: &Topic) -> bool {
    topic.as_str() == REVOCATIONS_TOPIC || topic.as_str().starts_with(Topic::READINESS_PREFIX)
}
