//! Why an event was not published.

use std::time::Duration;

use sluice_broker::BrokerError;
use sluice_wire::EventId;

use crate::circuit::Open;

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
    /// The event is published, but fewer replicas than wanted said in time that they have it: a failover of the
    /// broker may lose it. Retry with the same key, which repeats nothing.
    #[error("event {id} is published, but on {confirmed} replicas instead of {wanted}")]
    NotReplicated {
        /// The event's id.
        id: EventId,
        /// How many replicas have it.
        confirmed: usize,
        /// How many were to have it.
        wanted: u8,
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

impl From<Open> for PublishError {
    fn from(Open { why, retry_after }: Open) -> Self {
        Self::Unavailable { why, retry_after }
    }
}

impl PublishError {
    /// Whether the same event may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NotReplicated { .. } | Self::TooBusy | Self::Closed)
    }

    pub(crate) fn from_broker(error: &BrokerError, retry_after: Duration) -> Self {
        match *error {
            BrokerError::NotReplicated { id, confirmed, wanted } => {
                Self::NotReplicated { id, confirmed, wanted }
            }
            _ if error.is_transient() => Self::Unavailable { why: error.to_string(), retry_after },
            _ => Self::Refused(error.to_string()),
        }
    }
}
