//! Sets of topics: what a feed is named by.

use std::hash::{Hash, Hasher};

use sluice_wire::Topic;
use sluice_wire::cursor::VectorNames;

/// The number that a node gave an active topic; reused after the topic was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(pub u32);

/// The number that a node gave a feed; reused after the feed was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub u32);

/// The distinct topics of a feed, ordered by name.
///
/// Two sets are equal when their keys are, so a set is compared without reading a name.
#[derive(Debug, Clone)]
pub struct TopicSet(Members);

/// One topic stands inline: most sets of most nodes are of one.
#[derive(Debug, Clone)]
enum Members {
    One((TopicKey, Topic)),
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
struct Many {
    members: Vec<(TopicKey, Topic)>,
    names: VectorNames,
}

impl TopicSet {
    /// A set of `members`; duplicates are dropped.
    #[must_use]
    pub fn new(mut members: Vec<(TopicKey, Topic)>) -> Self {
        members.sort_by(|a, b| a.1.cmp(&b.1));
        members.dedup_by_key(|(key, _)| *key);
        if members.len() == 1
            && let Some(only) = members.pop()
        {
            return Self(Members::One(only));
        }
        let names = VectorNames::new(members.iter().map(|(_, topic)| topic));
        members.shrink_to_fit();
        Self(Members::Many(Box::new(Many { members, names })))
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
            Members::Many(many) => Some(&many.names),
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
        self.keys().eq(other.keys())
    }
}

impl Eq for TopicSet {}

impl Hash for TopicSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keys().for_each(|key| key.hash(state));
    }
}
