//! Who somebody is, once their credentials have been judged.

use std::sync::Arc;

use sluice_wire::{Topic, TopicPattern};

/// Somebody whose credentials, or the lack of them, were judged. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is; `None` for whoever came without credentials.
    pub subject: Option<Arc<str>>,
    /// The token's own id (`jti`), where it has one.
    pub token_id: Option<Arc<str>>,
    /// When what it may do ends. Milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
    /// What it may do.
    pub grants: Arc<Grants>,
}

/// Topics that somebody may read and publish to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Those that may be read.
    pub subscribe: Vec<TopicPattern>,
    /// Those that may be published to.
    pub publish: Vec<TopicPattern>,
}

impl Grants {
    /// Whether `topic` may be read.
    #[must_use]
    pub fn may_subscribe(&self, topic: &Topic) -> bool {
        self.subscribe.iter().any(|pattern| pattern.matches(topic))
    }

    /// Whether `topic` may be published to.
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        self.publish.iter().any(|pattern| pattern.matches(topic))
    }
}
