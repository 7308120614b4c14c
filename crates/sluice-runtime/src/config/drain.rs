//! `[drain]`: how a node leaves.

use std::time::Duration;

use super::Role;
use super::section::Section;

/// The two phases between the first signal and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// `drain.delay_ms`: 5,000; 0 in `dev`. How long a node that is already unready goes on as before, until
    /// balancers have seen it.
    pub delay: Duration,
    /// `drain.window_ms`: 20,000; 0 in `dev`. Over how long its streams are then closed, evenly.
    pub window: Duration,
}

impl Drain {
    pub(super) fn default_for(role: Role) -> Self {
        match role {
            Role::Dev => Self { delay: Duration::ZERO, window: Duration::ZERO },
            Role::Gateway | Role::Publisher | Role::Client => {
                Self { delay: Duration::from_secs(5), window: Duration::from_secs(20) }
            }
        }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        Self {
            delay: section.millis("delay_ms", default.delay, 0..=600_000),
            window: section.millis("window_ms", default.window, 0..=3_600_000),
        }
    }
}
