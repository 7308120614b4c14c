//! The drain of a node: its streams are ended evenly over a window, each with a `retry` of its own.
//!
//! Shards pace their own streams, and whatever reaches them meanwhile; the streams that hyper drives are
//! paced here. What is on its way when the window is over has a short grace to arrive.

use std::time::{Duration, Instant};

use sluice_fanout::Pace;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::runs::Runs;

/// How often a drain looks at its streams.
const LOOK: Duration = Duration::from_millis(10);
/// How long it waits beyond its window for streams on their way.
const GRACE: Duration = Duration::from_secs(3);

/// How a drain came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Streams that had their last words.
    pub drained: u64,
    /// Streams that were, or are about to be, cut off: their cursors say where.
    pub cut: u64,
}

impl Gateway {
    /// Takes no stream from now on and ends those there are, evenly over `window`; returns when all have
    /// ended, or at `hard`.
    pub async fn drain(&self, window: Duration, hard: &CancellationToken) -> Drained {
        let Runs { ground, admission, .. } = self.runs();
        admission.drain();
        ground.hub.shards().iter().for_each(|shard| shard.drain(window));
        let polled = ground.hub.polled();
        let began = Instant::now();
        let (mut pace, mut hand) = (Pace::new(began, window, polled.standing()), 0);
        let mut looks = tokio::time::interval(LOOK);
        while admission.open() > 0 && began.elapsed() < window + GRACE {
            let now = Instant::now();
            pace.keep(now, polled.standing());
            let (standing, mut due) = (polled.standing(), 0);
            while due < standing && pace.is_due(now) {
                due += 1;
                pace.ended(now, standing - due);
            }
            if due > 0 {
                polled.end_some(&mut hand, due);
            }
            if pace.is_over(now) {
                polled.close();
            }
            if hard.run_until_cancelled(looks.tick()).await.is_none() {
                break;
            }
        }
        polled.close();
        let (drained, cut) = admission.end_drain();
        Drained { drained, cut }
    }
}
