//! A steady pace as pure arithmetic: what is due by a moment that the caller names. Nothing accumulates
//! rounding errors, because every due time is computed from the start.

use crate::clock::SECOND;

/// A schedule of `per_second` things a second from `start_ns` on; the first is due at the start.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    per_second: f64,
    start_ns: u64,
    taken: u64,
}

impl Pace {
    /// A pace that begins at `start_ns`. A rate of zero or less never makes anything due.
    pub(crate) fn new(per_second: f64, start_ns: u64) -> Self {
        Self { per_second, start_ns, taken: 0 }
    }

    /// How many are due by `now_ns` and not yet taken.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by rate and deadline, never negative"
    )]
    #[expect(clippy::cast_precision_loss, reason = "a run lasts far less than 2^53 ns")]
    pub(crate) fn due(&self, now_ns: u64) -> u64 {
        if self.per_second <= 0.0 || now_ns < self.start_ns {
            return 0;
        }
        let elapsed_s = (now_ns - self.start_ns) as f64 / SECOND as f64;
        // The small addend keeps the n-th from falling just short of its own due time.
        ((elapsed_s * self.per_second + 1e-6).floor() as u64 + 1).saturating_sub(self.taken)
    }

    /// Takes `count` off what is due, whether they were done or left out.
    pub(crate) fn take(&mut self, count: u64) {
        self.taken += count;
    }

    /// When the next one is due; `None` for never.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by rate and deadline, never negative"
    )]
    #[expect(clippy::cast_precision_loss, reason = "a run lasts far less than 2^53 ns")]
    pub(crate) fn next_ns(&self) -> Option<u64> {
        (self.per_second > 0.0)
            .then(|| self.start_ns + (self.taken as f64 * SECOND as f64 / self.per_second).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_at_the_start_and_not_before() {
        let pace = Pace::new(10.0, SECOND);
        assert_eq!(pace.due(SECOND - 1), 0);
        assert_eq!(pace.due(SECOND), 1);
        assert_eq!(pace.next_ns(), Some(SECOND));
    }

    #[test]
    fn each_is_due_at_its_own_time_without_drift() {
        for per_second in [3.0, 10.0, 500.0, 7777.0] {
            let mut pace = Pace::new(per_second, 123);
            for n in 0..50_000 {
                let next = pace.next_ns().unwrap();
                assert!(pace.due(next) >= 1, "the {n}th at {per_second}/s is due at its due time");
                if n > 0 {
                    assert_eq!(pace.due(next.saturating_sub(1000)), 0, "and not a microsecond before");
                }
                pace.take(1);
            }
            let seconds = (pace.next_ns().unwrap() - 123) as f64 / 1e9;
            assert!((seconds - 50_000.0 / per_second).abs() < 1e-6);
        }
    }

    #[test]
    fn a_late_caller_is_told_all_that_it_missed() {
        let mut pace = Pace::new(100.0, 0);
        assert_eq!(pace.due(SECOND), 101);
        pace.take(101);
        assert_eq!(pace.due(SECOND), 0);
        assert_eq!(pace.due(2 * SECOND), 100);
    }

    #[test]
    fn no_rate_means_never() {
        assert_eq!(Pace::new(0.0, 0).due(u64::MAX), 0);
        assert_eq!(Pace::new(0.0, 0).next_ns(), None);
    }
}
