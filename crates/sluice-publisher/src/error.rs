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
    /// The broker could not be asked, or refused the event for now. It was not published: a retry repeats nothing.
    #[error("{why}; the event was not published, try again in {retry_after:?}")]
    NotSent {
        /// What the broker's connection said last.
        why: String,
        /// When the broker is looked after next.
        retry_after: Duration,
    },
    /// The broker was asked and did not answer. The event may have been published all the same: retry with the same
    /// key, or accept that it may appear twice.
    #[error("{why}; the event may have been published, try again with the same key in {retry_after:?}")]
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
    /// The event's idempotency key belongs to an event with another type or other data. It was not published.
    #[error(
        "the idempotency key belongs to an event with another type or other data; the event was not published"
    )]
    KeyReused,
    /// The broker refused the event and will do so again.
    #[error("the event was refused: {0}")]
    Refused(String),
    /// The queue is full and the caller did not want to wait. The event was not sent.
    #[error("the queue of events is full; the event was not published")]
    TooBusy,
    /// The publisher is closed. The event was not sent.
    #[error("the publisher is closed; the event was not published")]
    Closed,
}

impl From<Open> for PublishError {
    fn from(Open { why, retry_after }: Open) -> Self {
        Self::NotSent { why, retry_after }
    }
}

impl PublishError {
    /// Whether the same event may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::NotSent { .. }
                | Self::NotReplicated { .. }
                | Self::TooBusy
                | Self::Closed
        )
    }

    pub(crate) fn from_broker(error: &BrokerError, retry_after: Duration) -> Self {
        match *error {
            BrokerError::NotReplicated { id, confirmed, wanted } => {
                Self::NotReplicated { id, confirmed, wanted }
            }
            BrokerError::NotAppended(ref why) => Self::NotSent { why: why.clone(), retry_after },
            BrokerError::KeyReused => Self::KeyReused,
            _ if error.is_transient() => Self::Unavailable { why: error.to_string(), retry_after },
            _ => Self::Refused(error.to_string()),
        }
    }
}
