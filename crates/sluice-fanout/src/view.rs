//! A view: all feeds of one shard (or of the polled streams), found by id and by topic.
//!
//! Pure: it turns what the hub announces into ring contents and names the feeds that have something new.
//! Every view of a node is told the same things in the same order, so that the feeds of one set agree in all
//! views on what stands between which positions.

mod topic_feeds;

use std::sync::Arc;

use slab::Slab;
use sluice_wire::EventId;
use sluice_wire::sse::Frame;

use self::topic_feeds::TopicFeeds;
use crate::feed::Feed;
use crate::set::{FeedId, TopicKey, TopicSet};
use crate::witness::Witness;

/// What the hub tells every view.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A feed came into being at these positions.
    Open {
        /// Its number.
        feed: FeedId,
        /// Its topics.
        set: Arc<TopicSet>,
        /// Where each of them stands.
        positions: Box<[EventId]>,
        /// The moment up to which nothing is missing in any of them. Milliseconds.
        floor_ms: u64,
    },
    /// No stream needs the feed any more.
    Close {
        /// Its number.
        feed: FeedId,
    },
    /// The next event of a topic.
    Event {
        /// The topic.
        topic: TopicKey,
        /// The event's id.
        id: EventId,
        /// The event as a feed of this topic alone sends it.
        frame: Frame,
        /// Who wants to know when it has been brought out.
        witness: Option<Arc<Witness>>,
    },
    /// A message to all streams of a topic that no log holds.
    Plain {
        /// The topic.
        topic: TopicKey,
        /// The message.
        frame: Frame,
    },
    /// The log lost events; the topic goes on from `position`.
    Jump {
        /// The topic.
        topic: TopicKey,
        /// Where it stands now.
        position: EventId,
        /// What streams are told.
        frame: Frame,
    },
    /// A topic moved on over entries that no client can be given: there is no frame, and the next cursor says so.
    Skip {
        /// The topic.
        topic: TopicKey,
        /// Where it stands now.
        position: EventId,
    },
    /// A message to every stream.
    Broadcast {
        /// The message.
        frame: Frame,
    },
    /// Moments up to which nothing is missing, by topic. Milliseconds.
    Confirmed {
        /// Shared by all views.
        floors: Arc<[(TopicKey, u64)]>,
    },
}

impl Notice {
    /// The message that streams are sent.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        match self {
            Self::Event { frame, .. }
            | Self::Plain { frame, .. }
            | Self::Jump { frame, .. }
            | Self::Broadcast { frame } => Some(frame),
            Self::Open { .. } | Self::Close { .. } | Self::Skip { .. } | Self::Confirmed { .. } => None,
        }
    }

    /// Who came with the event.
    pub(crate) fn witness(&self) -> Option<&Arc<Witness>> {
        match self {
            Self::Event { witness, .. } => witness.as_ref(),
            _ => None,
        }
    }
}

/// A feed and what its owner keeps beside it.
#[derive(Debug)]
pub struct Entry<X> {
    /// The feed.
    pub feed: Feed,
    /// The owner's part: the list of slots, the wakers.
    pub extra: X,
}

/// See the module.
#[derive(Debug)]
pub struct View<X> {
    /// By feed number. Those numbers are dense, so a vector costs less than a map.
    feeds: Vec<Option<Box<Entry<X>>>>,
    /// By topic number.
    topics: Vec<Option<TopicFeeds>>,
    /// The feeds of topics that have several.
    crowds: Slab<Vec<FeedId>>,
    open: usize,
}

impl<X: Default> View<X> {
    /// A view without feeds.
    #[must_use]
    pub fn new() -> Self {
        Self { feeds: Vec::new(), topics: Vec::new(), crowds: Slab::new(), open: 0 }
    }

    /// The feed `id`.
    #[must_use]
    pub fn get(&self, id: FeedId) -> Option<&Entry<X>> {
        self.feeds.get(id.0 as usize)?.as_deref()
    }

    /// The feed `id`, to change it.
    pub fn get_mut(&mut self, id: FeedId) -> Option<&mut Entry<X>> {
        self.feeds.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// How many feeds there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open
    }

    /// No feed has this number or a greater one.
    #[must_use]
    pub fn extent(&self) -> usize {
        self.feeds.len()
    }

    /// Whether there is no feed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// The feeds there are now.
    #[must_use]
    pub fn ids(&self) -> Vec<FeedId> {
        (0..).zip(&self.feeds).filter(|(_, entry)| entry.is_some()).map(|(id, _)| FeedId(id)).collect()
    }

    /// Takes `notice` in and calls `changed` for each feed whose ring has grown by it.
    pub fn apply(&mut self, notice: Notice, mut changed: impl FnMut(FeedId, &mut Entry<X>)) {
        match notice {
            Notice::Open { feed, set, positions, floor_ms } => self.open(feed, set, positions, floor_ms),
            Notice::Close { feed } => self.close(feed),
            Notice::Event { topic, id, frame, witness: _ } => self.each_of(topic, |feed, index, entry| {
                entry.feed.event(index, id, &frame);
                changed(feed, entry);
            }),
            Notice::Plain { topic, frame } => self.each_of(topic, |feed, _, entry| {
                entry.feed.control(frame.clone());
                changed(feed, entry);
            }),
            Notice::Jump { topic, position, frame } => {
                if let Some(Some(known)) = self.topics.get_mut(topic.0 as usize) {
                    known.floor_ms = known.floor_ms.min(position.complete_ms());
                }
                self.each_of(topic, |feed, index, entry| {
                    entry.feed.jump(index, position, frame.clone());
                    changed(feed, entry);
                });
            }
            Notice::Skip { topic, position } => {
                self.each_of(topic, |_, index, entry| entry.feed.skip(index, position));
            }
            Notice::Broadcast { frame } => {
                for (feed, entry) in (0..).zip(&mut self.feeds) {
                    let Some(entry) = entry else { continue };
                    entry.feed.control(frame.clone());
                    changed(FeedId(feed), entry);
                }
            }
            Notice::Confirmed { floors } => {
                for (topic, floor_ms) in floors.iter() {
                    if let Some(Some(known)) = self.topics.get_mut(topic.0 as usize) {
                        known.floor_ms = known.floor_ms.max(*floor_ms);
                    }
                }
            }
        }
    }

    /// Brings the floor of `id` up to the least floor of its topics.
    pub fn refresh_floor(&mut self, id: FeedId) {
        let Some(Some(entry)) = self.feeds.get_mut(id.0 as usize) else { return };
        let floor_of = |key: TopicKey| match self.topics.get(key.0 as usize) {
            Some(Some(topic)) => topic.floor_ms,
            _ => 0,
        };
        let floor_ms = entry.feed.set().keys().map(floor_of).min().unwrap_or(0);
        entry.feed.raise_floor(floor_ms);
    }

    fn open(&mut self, id: FeedId, set: Arc<TopicSet>, positions: Box<[EventId]>, floor_ms: u64) {
        for topic in set.keys() {
            match place(&mut self.topics, topic.0) {
                Some(feeds) => feeds.add(id, &mut self.crowds),
                empty => *empty = Some(TopicFeeds::of(id, floor_ms)),
            }
        }
        let entry = Entry { feed: Feed::new(set, positions, floor_ms), extra: X::default() };
        if place(&mut self.feeds, id.0).replace(Box::new(entry)).is_none() {
            self.open += 1;
        }
    }

    fn close(&mut self, id: FeedId) {
        let Some(entry) = self.feeds.get_mut(id.0 as usize).and_then(Option::take) else { return };
        self.open -= 1;
        for topic in entry.feed.set().keys() {
            let Some(place) = self.topics.get_mut(topic.0 as usize) else { continue };
            if place.as_mut().is_some_and(|feeds| feeds.remove(id, &mut self.crowds)) {
                *place = None;
            }
        }
    }

    fn each_of(&mut self, topic: TopicKey, mut visit: impl FnMut(FeedId, usize, &mut Entry<X>)) {
        let Some(Some(feeds)) = self.topics.get(topic.0 as usize) else { return };
        for id in feeds.ids(&self.crowds) {
            let Some(Some(entry)) = self.feeds.get_mut(id.0 as usize) else { continue };
            if let Some(index) = entry.feed.set().index_of(topic) {
                visit(*id, index, entry);
            }
        }
    }
}

/// The place of `number` in a vector that grows as needed.
fn place<T>(places: &mut Vec<Option<T>>, number: u32) -> &mut Option<T> {
    let index = number as usize;
    if places.len() <= index {
        places.resize_with(index + 1, || None);
    }
    &mut places[index]
}

impl<X: Default> Default for View<X> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
