//! Partitions: topics that are available together and fail together. Who publishes keeps them apart by name and
//! learns nothing else of where events live.

use std::fmt;
use std::sync::Arc;

/// A part of all topics that one server of the broker keeps at the moment. Opaque, cheap to clone; equal for
/// topics that come and go together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition(Option<Arc<str>>);

impl Partition {
    /// All topics: the one partition of a broker that has no others.
    pub const WHOLE: Self = Self(None);

    /// One of several.
    #[must_use]
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self(Some(name.into()))
    }
}

/// For logs.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("all topics"))
    }
}
