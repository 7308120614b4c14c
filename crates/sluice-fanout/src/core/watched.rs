//! Events on their way through a first pass that somebody wants to see brought out. Empty unless somebody does:
//! then it holds one entry for each feed of the event, until that feed's pass is complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::set::FeedId;
use crate::witness::Witness;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watched(BTreeMap<(FeedId, u64), Arc<Witness>>);

impl Watched {
    /// The frame `sequence` of `feed` is an event that `witness` came with.
    pub(super) fn begin(&mut self, feed: FeedId, sequence: u64, witness: Arc<Witness>) {
        self.0.insert((feed, sequence), witness);
    }

    /// A pass over `feed` that visited `streams` has brought out every frame before `goal`.
    pub(super) fn passed(&mut self, feed: FeedId, goal: u64, streams: u32) {
        while let Some(entry) = self.first_of(feed)
            && entry.1 < goal
            && let Some(witness) = self.0.remove(&entry)
        {
            witness.reached(streams as usize);
        }
    }

    /// The feed is closed.
    pub(super) fn closed(&mut self, feed: FeedId) {
        self.passed(feed, u64::MAX, 0);
    }

    fn first_of(&self, feed: FeedId) -> Option<(FeedId, u64)> {
        let (entry, _) = self.0.range((feed, 0)..=(feed, u64::MAX)).next()?;
        Some(*entry)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_feed_gives_its_share_back_once() {
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        let witness = Arc::new(Witness::new(move |streams| *tell.lock().unwrap() = Some(streams)));
        let mut watched = Watched::default();
        let feeds = [1, 2, 3].map(FeedId);
        feeds.iter().for_each(|feed| watched.begin(*feed, 7, witness.clone()));
        drop(witness);
        watched.passed(feeds[0], 7, 10);
        watched.passed(feeds[1], 8, 2);
        watched.passed(feeds[1], 9, 2);
        watched.closed(feeds[2]);
        assert_eq!(*told.lock().unwrap(), None, "the pass of the first ended before it");
        watched.passed(feeds[0], 8, 10);
        assert_eq!(*told.lock().unwrap(), Some(12));
    }
}
