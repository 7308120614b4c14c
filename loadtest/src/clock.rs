//! The clock that all processes of a run share: nanoseconds of `CLOCK_MONOTONIC`, which every process of one
//! machine reads alike, so that a publish time taken in one can be subtracted from a receive time in another.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Now, in nanoseconds since an arbitrary moment that all processes of this machine agree on.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * SECOND + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Lets `duration` pass.
#[expect(
    clippy::disallowed_methods,
    reason = "the pace of a load is time itself, there is no condition to wait for"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Asks `ready` every `every` until it says yes; `false` when `limit` passed first.
pub(crate) fn wait_until(limit: Duration, every: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let started = monotonic_ns();
    let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    loop {
        if ready() {
            return true;
        }
        if monotonic_ns() - started >= limit_ns {
            return false;
        }
        pause(every);
    }
}
