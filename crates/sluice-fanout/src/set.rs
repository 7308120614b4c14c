//! Sets of topics: what a feed is named by.

use std::hash::{Hash, Hasher};

use sluice_wire::Topic;
use sluice_wire::cursor::{Cursor, VectorNames};
use sluice_wire::sse::Frame;

/// The number that a node gave an active topic; reused after the topic was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(pub u32);

/// The number that a node gave a feed; reused after the feed was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub u32);

/// The form in which a feed sends its topics. Streams that want different forms have feeds of their own, so a form costs
/// no memory for each stream and is encoded once for all streams that share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Projection {
    /// Whether the frames that only move the cursor fire `sluice.cursor`.
    pub cursor_events: bool,
}

impl Projection {
    /// The frame that moves the client's cursor while there is no event to do it.
    #[must_use]
    pub fn checkpoint(&self, cursor: &Cursor) -> Frame {
        if self.cursor_events { Frame::cursor_event(None, cursor) } else { Frame::checkpoint(cursor) }
    }
}

/// The distinct topics of a feed, ordered by name, and the form in which it sends them.
///
/// Two sets are equal when their keys and their forms are, so a set is compared without reading a name.
#[derive(Debug, Clone)]
pub struct TopicSet(Members);

/// One topic in the default form is stored inline: most sets of most nodes are of this kind.
#[derive(Debug, Clone)]
enum Members {
    One((TopicKey, Topic)),
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
struct Many {
    members: Vec<(TopicKey, Topic)>,
    /// `None` for a single topic.
    names: Option<VectorNames>,
    projection: Projection,
}

static DEFAULT_PROJECTION: Projection = Projection { cursor_events: false };

impl TopicSet {
    /// A set of `members` in the default form; duplicates are dropped.
    #[must_use]
    pub fn new(members: Vec<(TopicKey, Topic)>) -> Self {
        Self::projected(members, Projection::default())
    }

    /// A set of `members` in the form `projection`; duplicates are dropped.
    #[must_use]
    pub fn projected(mut members: Vec<(TopicKey, Topic)>, projection: Projection) -> Self {
        members.sort_by(|a, b| a.1.cmp(&b.1));
        members.dedup_by_key(|(key, _)| *key);
        if members.len() == 1
            && projection == DEFAULT_PROJECTION
            && let Some(only) = members.pop()
        {
            return Self(Members::One(only));
        }
        let names = (members.len() != 1).then(|| VectorNames::new(members.iter().map(|(_, topic)| topic)));
        members.shrink_to_fit();
        Self(Members::Many(Box::new(Many { members, names, projection })))
    }

    /// The form in which the topics are sent.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        match &self.0 {
            Members::One(_) => &DEFAULT_PROJECTION,
            Members::Many(many) => &many.projection,
        }
    }

    /// The members, ordered by name.
    #[must_use]
    pub fn members(&self) -> &[(TopicKey, Topic)] {
        match &self.0 {
            Members::One(only) => std::slice::from_ref(only),
            Members::Many(many) => &many.members,
        }
    }

    /// What the topics of a set of several are called in cursors.
    #[must_use]
    pub fn names(&self) -> Option<&VectorNames> {
        match &self.0 {
            Members::One(_) => None,
            Members::Many(many) => many.names.as_ref(),
        }
    }

    /// The keys, in the order of the members.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = TopicKey> + '_ {
        self.members().iter().map(|(key, _)| *key)
    }

    /// The place of `key` among the members.
    #[must_use]
    pub fn index_of(&self, key: TopicKey) -> Option<usize> {
        self.keys().position(|k| k == key)
    }

    /// How many topics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }
}

impl PartialEq for TopicSet {
    fn eq(&self, other: &Self) -> bool {
        self.keys().eq(other.keys()) && self.projection() == other.projection()
    }
}

impl Eq for TopicSet {}

impl Hash for TopicSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keys().for_each(|key| key.hash(state));
        self.projection().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_one_topic_is_stored_inline_and_its_form_is_part_of_its_name() {
        assert_eq!(size_of::<TopicSet>(), 16, "one for each stream with a topic of its own");
        let members = vec![(TopicKey(7), Topic::parse("t").unwrap())];
        let with_events = Projection { cursor_events: true };
        let (plain, firing) =
            (TopicSet::new(members.clone()), TopicSet::projected(members, with_events.clone()));
        assert!(plain != firing && plain.members() == firing.members());
        assert!(firing.names().is_none(), "the cursor of one topic is its id in either form");
        assert_eq!((plain.projection(), firing.projection()), (&Projection::default(), &with_events));
    }
}
