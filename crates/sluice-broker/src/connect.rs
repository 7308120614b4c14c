//! Chooses the backend that an address names.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{
    Broker, BrokerError, BrokerUrl, MemoryBroker, MemorySettings, RedisBroker, RedisSettings,
    RetentionPolicies,
};

/// Everything a backend needs to know.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Where events are kept.
    pub url: BrokerUrl,
    /// What is kept, for whatever this process appends.
    pub retention: RetentionPolicies,
    /// How long a repeated idempotency key finds the first event.
    pub once_window: Duration,
    /// For `redis://`.
    pub redis: RedisSettings,
    /// For `memory://`.
    pub memory: MemorySettings,
    /// Ends what looks for the servers of a cluster or a Sentinel, where that should not go on as long as the
    /// broker itself is held.
    pub stop: CancellationToken,
}

impl BrokerSettings {
    /// The defaults, for `url`: see each part, and 5 minutes for idempotency keys.
    #[must_use]
    pub fn new(url: BrokerUrl) -> Self {
        Self {
            url,
            retention: RetentionPolicies::default(),
            once_window: Duration::from_secs(5 * 60),
            redis: RedisSettings::default(),
            memory: MemorySettings::default(),
            stop: CancellationToken::new(),
        }
    }
}

/// The broker at `settings.url`. Opens no connection yet: a Redis that cannot be reached shows as
/// [`BrokerError::Unavailable`] in each call until it can. Tasks are spawned on `tracker` and end when what
/// they serve is dropped.
///
/// # Errors
///
/// [`BrokerError::Refused`] when the settings cannot work.
pub fn connect(settings: BrokerSettings, tracker: &TaskTracker) -> Result<Arc<dyn Broker>, BrokerError> {
    if settings.url.is_memory() {
        Ok(Arc::new(MemoryBroker::new(settings, tracker.clone())))
    } else {
        Ok(Arc::new(RedisBroker::new(settings, tracker.clone())?))
    }
}
