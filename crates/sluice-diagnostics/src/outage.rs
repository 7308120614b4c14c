//! When a failure that lasts is logged: when it begins, then once a minute with the number of failed attempts,
//! and when it ends with the time that it took.

use std::time::{Duration, Instant};

/// Between two log lines about the same outage.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// A failure that lasts until an attempt succeeds.
#[derive(Debug, Clone, Default)]
pub struct Outage {
    began: Option<Began>,
}

#[derive(Debug, Clone, Copy)]
struct Began {
    at: Instant,
    logged: Instant,
    failures: u64,
}

/// A log line about an outage is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// The outage has just begun.
    First,
    /// It goes on: failed attempts so far, and the time since it began.
    Still {
        /// Failed attempts since it began.
        failures: u64,
        /// The time since it began.
        since: Duration,
    },
}

impl Outage {
    /// Counts a failed attempt. Returns what to log, if a line is due.
    pub fn failed(&mut self, now: Instant) -> Option<Repeated> {
        let Some(began) = &mut self.began else {
            self.began = Some(Began { at: now, logged: now, failures: 1 });
            return Some(Repeated::First);
        };
        began.failures += 1;
        if now.saturating_duration_since(began.logged) < REPEAT_AFTER {
            return None;
        }
        began.logged = now;
        Some(Repeated::Still { failures: began.failures, since: now.saturating_duration_since(began.at) })
    }

    /// Ends the outage. Returns how long it took, if there was one.
    pub fn ended(&mut self, now: Instant) -> Option<Duration> {
        self.began.take().map(|began| now.saturating_duration_since(began.at))
    }

    /// Returns whether an outage lasts.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.began.is_some()
    }
}

/// A duration as a log field: whole milliseconds, which JSON shows as a number (128 bits it shows as a text).
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_logged_at_its_beginning_once_a_minute_and_at_its_end() {
        let (mut outage, begin) = (Outage::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(outage.ended(begin), None);
        let lines: Vec<_> = (0..150).map(|second| outage.failed(after(second))).collect();
        let logged: Vec<usize> = (0..150).filter(|second| lines[*second].is_some()).collect();
        assert_eq!(logged, [0, 60, 120]);
        let minute = Duration::from_secs(60);
        assert_eq!(lines[60], Some(Repeated::Still { failures: 61, since: minute }));
        assert!(outage.lasts());
        assert_eq!(outage.ended(after(150)), Some(minute * 5 / 2));
        assert_eq!((outage.lasts(), outage.failed(after(151))), (false, Some(Repeated::First)));
    }
}
