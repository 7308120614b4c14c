//! Where a node's shards bring what is no longer theirs: streams that left and streams that fell behind.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sluice_fanout::{End, Host, Laggard, LastWords, Left};

use super::catch_up;
use crate::control;
use crate::runs::Runs;
use crate::settings::OnLag;

/// See the module.
#[derive(Default)]
pub(crate) struct Harbour {
    runs: OnceLock<Arc<Runs>>,
}

impl Harbour {
    /// Shards start before what their streams run on.
    pub(crate) fn open(&self, runs: Arc<Runs>) {
        self.runs.get_or_init(|| runs);
    }
}

impl Host for Harbour {
    fn left(&self, left: Left<OwnedFd>) {
        if let Some(runs) = self.runs.get() {
            runs.ground.hub.leave(left.feed);
            runs.admission.leave(left.principal, left.reason);
        }
    }

    fn lagging(&self, Laggard { stream, passed, lacks_since_ms }: Laggard<OwnedFd>) {
        let Some(runs) = self.runs.get() else { return };
        if passed {
            runs.ground.hub.tallies().lagged(lacks_since_ms);
        }
        // A slow replay is none of its client's fault: only who was level can fall behind.
        if passed && runs.ground.streams.on_lag == OnLag::Disconnect {
            runs.ground.hub.leave(stream.feed);
            runs.admission.leave(stream.principal, "lag");
        } else {
            catch_up(runs, stream);
        }
    }

    fn last_words(&self, _: u32, end: End) -> LastWords {
        let retry = self.runs.get().map(|runs| runs.ground.retry());
        control::last_words(end, retry.unwrap_or(Duration::from_secs(2)))
    }

    fn sentence(&self, principal: u32) -> Option<LastWords> {
        let runs = self.runs.get()?;
        let sentence = runs.admission.sentence_on(principal)?;
        Some(LastWords { reason: sentence.reason, frame: sentence.frame(runs.ground.retry()) })
    }

    fn delivered(&self, published_ms: u64) {
        if let Some(runs) = self.runs.get() {
            runs.ground.hub.tallies().delivered(published_ms);
        }
    }
}
