//! The feeds of one topic in one view: mostly one, sometimes thousands.

use slab::Slab;

use crate::set::FeedId;

#[derive(Debug)]
enum FeedIds {
    One(FeedId),
    /// Index into the view's `crowds`: so small because every topic of every view has one of these.
    Many(u32),
}

#[derive(Debug)]
pub(super) struct TopicFeeds {
    pub(super) floor_ms: u64,
    feeds: FeedIds,
}

impl TopicFeeds {
    /// A topic of one feed.
    pub(super) fn of(id: FeedId, floor_ms: u64) -> Self {
        Self { floor_ms, feeds: FeedIds::One(id) }
    }

    /// The feeds.
    pub(super) fn ids<'a>(&'a self, crowds: &'a Slab<Vec<FeedId>>) -> &'a [FeedId] {
        match &self.feeds {
            FeedIds::One(id) => std::slice::from_ref(id),
            FeedIds::Many(crowd) => &crowds[*crowd as usize],
        }
    }

    /// Adds a feed.
    pub(super) fn add(&mut self, id: FeedId, crowds: &mut Slab<Vec<FeedId>>) {
        match &self.feeds {
            FeedIds::One(first) => {
                let crowd = crowds.insert(vec![*first, id]);
                #[expect(clippy::expect_used, reason = "fewer than 2^32 of them fit in memory")]
                let crowd = u32::try_from(crowd).expect("fewer than 2^32 topics fit in memory");
                self.feeds = FeedIds::Many(crowd);
            }
            FeedIds::Many(crowd) => crowds[*crowd as usize].push(id),
        }
    }

    /// Forgets `id`; whether no feed is left.
    pub(super) fn remove(&mut self, id: FeedId, crowds: &mut Slab<Vec<FeedId>>) -> bool {
        match &self.feeds {
            FeedIds::One(only) => *only == id,
            FeedIds::Many(crowd) => {
                let crowd = *crowd as usize;
                let ids = &mut crowds[crowd];
                if let Some(place) = ids.iter().position(|other| *other == id) {
                    ids.swap_remove(place);
                }
                let is_empty = ids.is_empty();
                if is_empty {
                    crowds.remove(crowd);
                }
                is_empty
            }
        }
    }
}
