//! The feeds of a node: one for each distinct set of topics that some stream is open on, and for each view
//! of the fan-out engine that has such a stream. A view that has none is not told of the set.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use slab::Slab;
use sluice_fanout::{FeedId, TopicSet};

/// A part of the fan-out engine that has streams of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ViewKey {
    /// The streams that hyper drives.
    Polled,
    /// The streams of a shard.
    Shard(u16),
}

/// One feed and how many streams (joined or on their way) need it.
#[derive(Debug)]
struct OpenFeed {
    view: ViewKey,
    set: Arc<TopicSet>,
    streams: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    open: Slab<OpenFeed>,
    /// The feeds by view and set, which stand in `open` alone.
    by_set: HashTable<FeedId>,
    hasher: RandomState,
}

/// Whether a feed was there already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    Existing(FeedId),
    Created(FeedId),
}

impl Feeds {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Counts one more stream on the feed of `set` in `view`, if there is one.
    pub(crate) fn enter_open(&mut self, view: ViewKey, set: &Arc<TopicSet>) -> Option<FeedId> {
        let is_it = |id: &FeedId| {
            let feed = &self.open[id.0 as usize];
            feed.view == view && feed.set == *set
        };
        let id = *self.by_set.find(self.hasher.hash_one((view, set)), is_it)?;
        self.open[id.0 as usize].streams += 1;
        Some(id)
    }

    /// Counts one more stream on the feed of `set` in `view`.
    pub(crate) fn enter(&mut self, view: ViewKey, set: Arc<TopicSet>) -> Entered {
        if let Some(id) = self.enter_open(view, &set) {
            return Entered::Existing(id);
        }
        let hash = self.hasher.hash_one((view, &set));
        let index = self.open.insert(OpenFeed { view, set, streams: 1 });
        #[expect(clippy::expect_used, reason = "fewer than 2^32 of them fit in memory")]
        let id = FeedId(u32::try_from(index).expect("fewer than 2^32 feeds fit in memory"));
        let Self { open, by_set, hasher } = self;
        by_set.insert_unique(hash, id, |id| {
            let feed = &open[id.0 as usize];
            hasher.hash_one((feed.view, &feed.set))
        });
        Entered::Created(id)
    }

    /// Counts one stream less; the view and the set, when it was the last and the feed is gone.
    pub(crate) fn leave(&mut self, id: FeedId) -> Option<(ViewKey, Arc<TopicSet>)> {
        let feed = self.open.get_mut(id.0 as usize)?;
        feed.streams -= 1;
        if feed.streams > 0 {
            return None;
        }
        let closed = self.open.remove(id.0 as usize);
        let hash = self.hasher.hash_one((closed.view, &closed.set));
        if let Ok(entry) = self.by_set.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        Some((closed.view, closed.set))
    }

    /// The view of an open feed.
    pub(crate) fn view(&self, id: FeedId) -> Option<ViewKey> {
        self.open.get(id.0 as usize).map(|feed| feed.view)
    }

    /// The topics of an open feed.
    pub(crate) fn set(&self, id: FeedId) -> Option<Arc<TopicSet>> {
        self.open.get(id.0 as usize).map(|feed| feed.set.clone())
    }
}

#[cfg(test)]
mod tests {
    use sluice_fanout::TopicKey;
    use sluice_wire::Topic;

    use super::*;

    const SHARD: ViewKey = ViewKey::Shard(0);

    fn set(keys: &[u32]) -> Arc<TopicSet> {
        let members = keys.iter().map(|k| (TopicKey(*k), Topic::parse(&format!("t{k}")).unwrap()));
        Arc::new(TopicSet::new(members.collect()))
    }

    #[test]
    fn one_feed_a_set_and_view_whatever_the_order_and_gone_with_its_last_stream() {
        let mut feeds = Feeds::default();
        let Entered::Created(first) = feeds.enter(SHARD, set(&[1, 2])) else { panic!("new") };
        assert_eq!(feeds.enter(SHARD, set(&[2, 1, 2])), Entered::Existing(first));
        for (view, keys) in [(SHARD, &[1][..]), (ViewKey::Polled, &[1, 2]), (ViewKey::Shard(1), &[1, 2])] {
            assert!(matches!(feeds.enter(view, set(keys)), Entered::Created(id) if id != first));
        }
        assert_eq!(feeds.leave(first), None);
        assert_eq!(feeds.leave(first), Some((SHARD, set(&[1, 2]))));
        assert_eq!(feeds.len(), 3);
        assert!(matches!(feeds.enter(SHARD, set(&[1, 2])), Entered::Created(_)));
    }
}
