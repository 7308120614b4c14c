//! What the servers' clocks say by now, reckoned from what they said and the time that has passed here since. A
//! failover may lose events and lead to a server whose clock is behind: were its ids to begin where its clock
//! stands, it could give a lost event's id to another one, and a client that saw the first would never be given
//! the second. So every event says from which moment on its id may be (`publish.lua`).
//!
//! The clock that is furthest ahead counts, of those heard in the last one to two minutes: clocks drift apart,
//! and the new server's must be believed some day.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// How long what a clock said is believed at least.
const WINDOW: Duration = Duration::from_secs(60);

/// After so much silence the clocks may have drifted by more than an answer takes.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug)]
pub(super) struct Reckoning {
    began: Instant,
    heard: Mutex<Heard>,
}

/// How far clocks were ahead of the time passed here, in milliseconds; the furthest of each window.
#[derive(Debug, Default)]
struct Heard {
    ahead_ms: Option<u64>,
    ahead_ms_before: Option<u64>,
    /// When the window began, and when a clock was heard last; since `began`.
    window: Duration,
    last: Duration,
}

impl Reckoning {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), heard: Mutex::default() }
    }

    /// A server said that its clock stands at `clock_ms`.
    pub(super) fn note(&self, clock_ms: u64) {
        let passed = self.began.elapsed();
        let mut heard = self.heard();
        // Rounded down: never ahead of the clock, which nobody's ids are.
        let ahead_ms = clock_ms.saturating_sub(millis(passed) + 1);
        if passed > heard.last + SILENCE_MAX {
            *heard = Heard::default();
        }
        if heard.ahead_ms.is_some() && passed >= heard.window + WINDOW {
            heard.ahead_ms_before = heard.ahead_ms.take();
        }
        if heard.ahead_ms.is_none() {
            heard.window = passed;
        }
        heard.ahead_ms = heard.ahead_ms.max(Some(ahead_ms));
        heard.last = passed;
    }

    /// Where the clock stands that is furthest ahead; `None` if none was heard lately. Never ahead of it, by the
    /// time that its answer took.
    pub(super) fn now_ms(&self) -> Option<u64> {
        let passed = self.began.elapsed();
        let heard = self.heard();
        let ahead_ms = heard.ahead_ms.max(heard.ahead_ms_before)?;
        (passed <= heard.last + SILENCE_MAX).then(|| ahead_ms + millis(passed))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

fn millis(passed: Duration) -> u64 {
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_790_000_000_000;

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_goes_on_and_the_one_ahead_counts() {
        let reckoning = Reckoning::new();
        assert_eq!(reckoning.now_ms(), None);
        reckoning.note(NOON);
        reckoning.note(NOON - 6_000);
        pass(3).await;
        assert_eq!(reckoning.now_ms(), Some(NOON + 2_999));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failover_the_old_clock_counts_for_a_minute_and_not_for_three() {
        let reckoning = Reckoning::new();
        for second in 0..300 {
            reckoning.note(NOON + second * 1_000);
            pass(1).await;
        }
        for second in 300..480 {
            let now_ms = reckoning.now_ms().unwrap();
            assert!(second > 360 || now_ms == NOON + second * 1_000 - 1, "{second}");
            reckoning.note(NOON + second * 1_000 - 6_000);
            pass(1).await;
        }
        assert_eq!(reckoning.now_ms(), Some(NOON + 473_999));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_before_a_silence_holds_for_a_while() {
        let reckoning = Reckoning::new();
        reckoning.note(NOON);
        pass(599).await;
        assert_eq!(reckoning.now_ms(), Some(NOON + 598_999));
        // The first answer after it may be of another server.
        reckoning.note(NOON + 590_000);
        assert_eq!(reckoning.now_ms(), Some(NOON + 598_999));
        pass(601).await;
        assert_eq!(reckoning.now_ms(), None);
        reckoning.note(NOON + 1_150_000);
        assert_eq!(reckoning.now_ms(), Some(NOON + 1_149_999));
    }
}
