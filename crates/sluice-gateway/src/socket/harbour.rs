//! Where a node's shards bring what is no longer theirs: streams that left and streams that fell behind.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sluice_fanout::{Host, Laggard, Left};
use sluice_wire::sse::Frame;

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
            runs.admission.leave(left.reason);
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
            runs.admission.leave("lag");
        } else {
            catch_up(runs, stream);
        }
    }

    fn farewell(&self) -> Frame {
        let retry = self.runs.get().map(|runs| runs.ground.retry());
        control::farewell(retry.unwrap_or(Duration::from_secs(2)))
    }

    fn delivered(&self, published_ms: u64) {
        if let Some(runs) = self.runs.get() {
            runs.ground.hub.tallies().delivered(published_ms);
        }
    }
}
