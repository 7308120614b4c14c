//! The moment at which a run is given up.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// A moment that nothing may outlast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    within: Duration,
}

impl Deadline {
    pub(super) fn within(within: Duration) -> Self {
        Self { at: Instant::now() + within, within }
    }

    /// What is left of the time.
    pub(super) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// An error once it has passed.
    pub(super) fn check(self) -> Result<()> {
        ensure!(!self.left().is_zero(), "the deadline of {} s has passed", self.within.as_secs());
        Ok(())
    }
}
