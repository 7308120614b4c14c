//! How fast a stream tries to reach its ring.
//!
//! Invariant: whatever it is that makes join points useless one after the other, every attempt but the first waits
//! for time to pass, so a stream never occupies a core with trying; and a client that waits for long hears heartbeats.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::{Halt, Outlet, READ_AGAIN, heartbeat};

/// How long the second attempt in a row waits. Later ones wait longer, up to `READ_AGAIN`.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Pacing {
    heartbeat: Duration,
    /// Join points in a row that were given up before anything was written.
    overtaken: u32,
    /// When the last heartbeat was sent from here.
    beaten: Instant,
}

impl Pacing {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, overtaken: 0, beaten: Instant::now() }
    }

    /// The stream was given something.
    pub(super) fn advanced(&mut self) {
        self.overtaken = 0;
    }

    /// Waits before a newer join point is taken.
    pub(super) async fn overtaken(&mut self, outlet: &mut impl Outlet) -> Result<(), Halt> {
        let before = self.overtaken;
        self.overtaken = before.saturating_add(1);
        match before {
            0 => yield_now().await,
            _ => self.wait((FIRST_WAIT * (1 << before.min(8))).min(READ_AGAIN), outlet).await?,
        }
        Ok(())
    }

    /// Waits for `duration`.
    pub(super) async fn wait(&mut self, duration: Duration, outlet: &mut impl Outlet) -> Result<(), Halt> {
        if self.beaten.elapsed() >= self.heartbeat {
            self.beaten = Instant::now();
            outlet.write(vec![heartbeat()]).await?;
        }
        sleep(duration).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluice_fanout::RingFrame;
    use sluice_wire::EventId;

    use super::*;

    /// Counts what is written.
    struct Counting(usize);

    impl Outlet for Counting {
        const PAGE_BYTES: usize = 1;

        async fn ready(&mut self) -> Result<(), Halt> {
            Ok(())
        }

        async fn write(&mut self, frames: Vec<RingFrame>) -> Result<(), Halt> {
            self.0 += frames.len();
            Ok(())
        }

        fn stands_at(&mut self, _: Vec<EventId>) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_overtaken_for_ever_tries_four_times_a_second_and_hears_heartbeats() {
        let (mut pacing, mut outlet) = (Pacing::new(Duration::from_secs(15)), Counting(0));
        let began = Instant::now();
        pacing.overtaken(&mut outlet).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "once is usual");
        for _ in 0..240 {
            pacing.overtaken(&mut outlet).await.unwrap();
        }
        let passed = began.elapsed();
        assert!((Duration::from_secs(55)..Duration::from_secs(65)).contains(&passed), "{passed:?}");
        assert_eq!(outlet.0, 3, "heartbeats");
        pacing.advanced();
        pacing.overtaken(&mut outlet).await.unwrap();
        assert_eq!(began.elapsed(), passed);
    }
}
