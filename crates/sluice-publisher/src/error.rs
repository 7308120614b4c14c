//! Why an event was not published.

use std::time::Duration;

use sluice_broker::BrokerError;

/// Why an event was not published, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The event can never be published as it is. It was not sent.
    #[error("the event has {bytes} bytes of data; at most {bytes_max} are allowed")]
    Invalid {
        /// How much data it has.
        bytes: usize,
        /// How much it may have.
        bytes_max: usize,
    },
    /// The broker did not answer, or has not been answering and was not asked. The event may have been
    /// published all the same: retry with the same key, or accept that it may appear twice.
    #[error("{why}; try again in {retry_after:?}")]
    Unavailable {
        /// What the broker's connection said last.
        why: String,
        /// When the broker is looked after next.
        retry_after: Duration,
    },
    /// The broker refused the event and will do so again.
    #[error("the event was refused: {0}")]
    Refused(String),
    /// The queue is full and the caller did not want to wait. The event was not sent.
    #[error("too many events are waiting to be published")]
    TooBusy,
    /// The publisher is closed. The event was not sent.
    #[error("the publisher is closed")]
    Closed,
}

impl PublishError {
    /// Whether the same event may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TooBusy | Self::Closed)
    }

    pub(crate) fn from_broker(error: &BrokerError, retry_after: Duration) -> Self {
        if error.is_transient() {
            Self::Unavailable { why: error.to_string(), retry_after }
        } else {
            Self::Refused(error.to_string())
        }
    }
}
