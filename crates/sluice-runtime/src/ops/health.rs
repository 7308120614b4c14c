//! What can be wrong with a node: the checks of readiness, and the heartbeat that shows a wedged runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::lifecycle::Lifecycle;

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckState {
    /// Nothing in the way.
    Ok,
    /// Not ready, and why, in a few words.
    Failing(String),
}

const BEAT_INTERVAL: Duration = Duration::from_secs(1);
const BEAT_AGE_MAX: Duration = Duration::from_secs(30);

/// A task that does nothing but say that tasks still run.
#[derive(Debug, Clone)]
pub(super) struct Heartbeat {
    started: Instant,
    beat_ms: Arc<AtomicU64>,
}

impl Heartbeat {
    /// A heart that last beat at `started`.
    pub(super) fn new(started: Instant) -> Self {
        Self { started, beat_ms: Arc::default() }
    }

    /// Beats until `lifecycle` ends.
    pub(super) fn start(&self, lifecycle: &Lifecycle) {
        let beating = self.clone();
        let hard = lifecycle.hard.clone();
        lifecycle.watch(async move {
            let mut ticks = tokio::time::interval(BEAT_INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while let Some(now) = hard.run_until_cancelled(ticks.tick()).await {
                beating.beat(now);
            }
        });
    }

    fn beat(&self, now: Instant) {
        let since = u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.beat_ms.store(since, Ordering::Relaxed);
    }

    /// The age of the last beat, if it is too old for a runtime that works.
    pub(super) fn overdue(&self, now: Instant) -> Option<Duration> {
        let beat = self.started + Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        Some(now.saturating_duration_since(beat)).filter(|age| *age > BEAT_AGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_beat_too_old_is_overdue() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(heartbeat.overdue(after(30)), None);
        assert_eq!(heartbeat.overdue(after(31)), Some(Duration::from_secs(31)));
        heartbeat.beat(after(31));
        assert_eq!(heartbeat.overdue(after(60)), None);
    }
}
