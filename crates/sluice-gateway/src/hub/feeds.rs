//! The feeds of a node: one for each distinct set of topics that some stream is open on.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;
use sluice_fanout::{FeedId, TopicSet};

/// One feed and how many streams (joined or on their way) need it.
#[derive(Debug)]
struct OpenFeed {
    set: Arc<TopicSet>,
    streams: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    open: Slab<OpenFeed>,
    by_set: HashMap<Arc<TopicSet>, FeedId>,
}

/// Whether a feed was there already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    Existing(FeedId, Arc<TopicSet>),
    Created(FeedId, Arc<TopicSet>),
}

impl Feeds {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the feed of `set` is open.
    pub(crate) fn has(&self, set: &TopicSet) -> bool {
        self.by_set.contains_key(set)
    }

    /// Counts one more stream on the feed of `set`.
    pub(crate) fn enter(&mut self, set: TopicSet) -> Entered {
        if let Some(id) = self.by_set.get(&set).copied() {
            let feed = &mut self.open[id.0 as usize];
            feed.streams += 1;
            return Entered::Existing(id, feed.set.clone());
        }
        let set = Arc::new(set);
        let index = self.open.insert(OpenFeed { set: set.clone(), streams: 1 });
        let id = FeedId(u32::try_from(index).expect("fewer than 2^32 feeds fit in memory"));
        self.by_set.insert(set.clone(), id);
        Entered::Created(id, set)
    }

    /// Counts one stream less; the set, when it was the last and the feed is gone.
    pub(crate) fn leave(&mut self, id: FeedId) -> Option<Arc<TopicSet>> {
        let feed = self.open.get_mut(id.0 as usize)?;
        feed.streams -= 1;
        if feed.streams > 0 {
            return None;
        }
        let closed = self.open.remove(id.0 as usize);
        self.by_set.remove(&closed.set);
        Some(closed.set)
    }
}

#[cfg(test)]
mod tests {
    use sluice_fanout::TopicKey;
    use sluice_wire::Topic;

    use super::*;

    fn set(keys: &[u32]) -> TopicSet {
        TopicSet::new(keys.iter().map(|k| (TopicKey(*k), Topic::parse(&format!("t{k}")).unwrap())).collect())
    }

    #[test]
    fn one_feed_a_set_whatever_the_order_and_gone_with_its_last_stream() {
        let mut feeds = Feeds::default();
        let Entered::Created(first, _) = feeds.enter(set(&[1, 2])) else { panic!("new") };
        assert!(matches!(feeds.enter(set(&[2, 1, 2])), Entered::Existing(id, _) if id == first));
        let Entered::Created(other, _) = feeds.enter(set(&[1])) else { panic!("new") };
        assert_ne!(first, other);
        assert_eq!(feeds.leave(first), None);
        assert_eq!(feeds.leave(first).as_deref(), Some(&set(&[1, 2])));
        assert_eq!(feeds.len(), 1);
        assert!(matches!(feeds.enter(set(&[1, 2])), Entered::Created(..)));
    }
}
