//! Why a stream is not taken, and how long its client is told to wait.

use std::time::Duration;

/// Why a stream is not taken now. Another time, or another node, may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The node holds as many streams as it may.
    Full,
    /// Streams come faster than they may.
    Rate,
    /// The client's network has as many as it may.
    Address,
    /// The client has as many as it may, by its token.
    Subject,
    /// The client has as many as it may on all nodes together.
    ClusterSubject,
    /// One of the topics has as many as it may on this node.
    Topic,
    /// The node follows as many topics as it may, and the stream would make it more.
    Topics,
    /// The node is short of memory.
    Memory,
    /// The node is going away.
    Draining,
}

/// A stream that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    /// How long its client should wait, where that is longer than for any other reason: a limit of its own does not
    /// pass like a rush.
    pub(crate) wait: Option<Duration>,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, wait: None }
    }
}

impl Refusal {
    /// The reason as metrics and clients read it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "streams-max",
            Self::Rate => "accept-rate",
            Self::Address => "streams-per-address-max",
            Self::Subject => "streams-per-subject-max",
            Self::ClusterSubject => "cluster-streams-per-subject-max",
            Self::Topic => "streams-per-topic-max",
            Self::Topics => "topics-max",
            Self::Memory => "memory",
            Self::Draining => "draining",
        }
    }
}
