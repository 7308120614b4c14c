//! The pace of a drain: ends spread evenly over what is left of a time, without a timer a stream.
//!
//! It knows one moment, that of the next end; each end sets the next one from how much time and how many
//! streams are left. So it stays even whatever joins or leaves meanwhile. Whoever comes late makes up for
//! a little of it at once and spreads the rest: clients that reconnect must not meet a burst elsewhere.

use std::time::{Duration, Instant};

/// How much of a delay is made up for at once.
const LATE_MAX: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    until: Instant,
    next: Instant,
}

impl Pace {
    /// `left` ends from `now` on, over `window`.
    #[must_use]
    pub fn new(now: Instant, window: Duration, left: usize) -> Self {
        let until = now + window;
        let mut pace = Self { until, next: until };
        pace.keep(now, left);
        pace
    }

    /// `left` streams stand now: more than before make the next end come sooner.
    pub fn keep(&mut self, now: Instant, left: usize) {
        if left == 0 {
            return;
        }
        self.next = self.next.min(now + share(self.until.saturating_duration_since(now), left));
    }

    /// Whether an end is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Whether the time is over, so that whoever is left is ended at once.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// One stream was ended, `left` stand.
    pub fn ended(&mut self, now: Instant, left: usize) {
        let from = now.checked_sub(LATE_MAX).map_or(self.next, |earliest| self.next.max(earliest));
        self.next = from + share(self.until.saturating_duration_since(from), left);
    }

    /// Nobody can be ended now: looks again after `rest`, or when the time is over.
    pub fn rest(&mut self, now: Instant, rest: Duration) {
        let again = now + rest;
        self.next = if self.is_over(now) { again } else { again.min(self.until) };
    }

    /// When the next end is due.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }
}

fn share(time: Duration, left: usize) -> Duration {
    time / u32::try_from(left).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many ends each piece of the time has, when the pace is asked every `step`.
    fn ends(streams: usize, window: Duration, step: Duration, pieces: u32) -> Vec<usize> {
        let began = Instant::now();
        let (mut left, mut now) = (streams, began);
        let mut pace = Pace::new(now, window, left);
        let mut counts = vec![0; pieces as usize];
        while left > 0 {
            now += step;
            assert!(now <= began + window + step, "{left} left behind the window");
            while left > 0 && pace.is_due(now) {
                left -= 1;
                pace.ended(now, left);
                let piece = (now - began).as_nanos() * u128::from(pieces) / window.as_nanos();
                counts[usize::try_from(piece).unwrap().min(pieces as usize - 1)] += 1;
            }
        }
        counts
    }

    #[test]
    fn ends_are_even_to_a_few_milliseconds() {
        let counts = ends(5_000, Duration::from_secs(20), Duration::from_millis(1), 100);
        assert_eq!(counts.iter().sum::<usize>(), 5_000);
        assert!(counts.iter().all(|count| (48..=52).contains(count)), "{counts:?}");
    }

    #[test]
    fn whoever_comes_late_spreads_the_rest() {
        let (window, began) = (Duration::from_secs(10), Instant::now());
        let mut pace = Pace::new(began, window, 1_000);
        let late = began + Duration::from_secs(5);
        let mut left = 1_000;
        while pace.is_due(late) {
            left -= 1;
            pace.ended(late, left);
        }
        assert!((985..1_000).contains(&left), "{left} left, not a burst of five hundred");
        assert!(pace.next() > late && !pace.is_over(late));
    }

    #[test]
    fn a_time_of_nothing_is_over_at_once_and_newcomers_share_what_is_left() {
        let now = Instant::now();
        let mut none = Pace::new(now, Duration::ZERO, 3);
        for left in [2, 1, 0] {
            assert!(none.is_due(now) && none.is_over(now));
            none.ended(now, left);
        }
        let mut empty = Pace::new(now, Duration::from_secs(10), 0);
        assert_eq!(empty.next(), now + Duration::from_secs(10));
        empty.keep(now, 100);
        assert_eq!(empty.next(), now + Duration::from_millis(100));
        empty.rest(now, Duration::from_secs(30));
        assert_eq!(empty.next(), now + Duration::from_secs(10));
        empty.rest(now + Duration::from_secs(10), Duration::from_secs(1));
        assert_eq!(empty.next(), now + Duration::from_secs(11), "no spinning behind the end");
    }
}
