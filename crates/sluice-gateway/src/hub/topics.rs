//! The active topics of a node: where each stands, and its window.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use slab::Slab;
use sluice_fanout::TopicKey;
use sluice_wire::sse::Frame;
use sluice_wire::{EventId, Topic};

use super::sizes::EventSize;
use super::window::{Encoded, Window, WindowLimits};

/// How far ahead of a topic's confirmed moment the clock may be: tail checks take turns.
const AHEAD_OF_FLOOR_MAX_MS: u64 = 120_000;

/// One active topic.
#[derive(Debug)]
pub(crate) struct ActiveTopic {
    topic: Topic,
    /// The last entry applied on this node: an event, or one that was skipped.
    pub(crate) position: EventId,
    /// Nothing with an id up to this moment is missing here. Milliseconds.
    pub(crate) floor_ms: u64,
    /// Up to this moment an earlier log of the topic may have had entries, which are gone; 0 if nothing is known of one.
    past_ms: u64,
    /// The same of the log that was there when it was lost on this node.
    gone_ms: u64,
    /// Absent until the topic has its first event, since most topics of most nodes are quiet.
    window: Option<Box<Window>>,
    /// Feeds that contain the topic.
    pub(crate) feeds: u32,
    /// Times that the topic was taken to a place that does not follow from the one before.
    pub(crate) jumps: u32,
    event_size: EventSize,
}

impl ActiveTopic {
    /// Up to here an earlier log of the topic may have had entries, which are gone.
    pub(crate) fn past(&self) -> EventId {
        match self.past_ms.max(self.gone_ms) {
            0 => EventId::ZERO,
            past_ms => EventId::new(past_ms, u64::MAX),
        }
    }

    /// The same, of what was before the topic was opened: no stream of this node lacks any of it.
    pub(crate) fn past_when_opened_ms(&self) -> u64 {
        self.past_ms
    }

    fn window_bytes(&self) -> usize {
        self.window.as_ref().map_or(0, |window| window.bytes())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Topics {
    active: Slab<ActiveTopic>,
    /// The keys by name. Names stand in `active` alone: this is what a topic costs most of all.
    keys: HashTable<TopicKey>,
    hasher: RandomState,
    limits: WindowLimits,
    window_bytes: usize,
    /// Where the next search for a window to shorten begins.
    hand: usize,
    /// Of all topics.
    event_size: EventSize,
}

impl Topics {
    pub(crate) fn new(limits: WindowLimits) -> Self {
        Self {
            active: Slab::new(),
            keys: HashTable::new(),
            hasher: RandomState::new(),
            limits,
            window_bytes: 0,
            hand: 0,
            event_size: EventSize::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    pub(crate) fn key(&self, topic: &Topic) -> Option<TopicKey> {
        let is_it = |key: &TopicKey| self.get(*key).is_some_and(|active| active.topic == *topic);
        self.keys.find(self.hasher.hash_one(topic), is_it).copied()
    }

    pub(crate) fn get(&self, key: TopicKey) -> Option<&ActiveTopic> {
        self.active.get(key.0 as usize)
    }

    pub(crate) fn get_mut(&mut self, key: TopicKey) -> Option<&mut ActiveTopic> {
        self.active.get_mut(key.0 as usize)
    }

    /// Begins a topic at `position`. One that lingered goes on, with its window if that leads there.
    pub(crate) fn open(&mut self, topic: &Topic, position: EventId, past: EventId) -> TopicKey {
        if let Some(key) = self.key(topic) {
            if let Some(active) = self.get_mut(key) {
                active.past_ms = active.past_ms.max(past.ms);
            }
            if self.get(key).is_some_and(|active| active.position != position) {
                self.jump(key, position);
            }
            return key;
        }
        let entry = ActiveTopic {
            topic: topic.clone(),
            position,
            floor_ms: 0,
            past_ms: past.ms,
            gone_ms: 0,
            window: None,
            feeds: 0,
            jumps: 0,
            event_size: EventSize::default(),
        };
        let index = self.active.insert(entry);
        #[expect(clippy::expect_used, reason = "fewer than 2^32 of them fit in memory")]
        let key = TopicKey(u32::try_from(index).expect("fewer than 2^32 topics fit in memory"));
        let Self { active, keys, hasher, .. } = self;
        let hash_of = |key: &TopicKey| hasher.hash_one(&active[key.0 as usize].topic);
        keys.insert_unique(hasher.hash_one(topic), key, hash_of);
        key
    }

    /// Ends a topic that no feed contains.
    pub(crate) fn close(&mut self, topic: &Topic) {
        let Some(key) = self.key(topic) else { return };
        if self.get(key).is_some_and(|active| active.feeds == 0) {
            let hash = self.hasher.hash_one(topic);
            if let Ok(entry) = self.keys.find_entry(hash, |other| *other == key) {
                entry.remove();
            }
            let closed = self.active.remove(key.0 as usize);
            self.window_bytes -= closed.window_bytes();
        }
    }

    /// Appends the next event of a topic, of which the log says that it stands behind `prev`.
    pub(crate) fn push(&mut self, key: TopicKey, event: Encoded, prev: Option<EventId>) {
        let limits = self.limits;
        self.note_sizes(key, std::slice::from_ref(&event));
        self.change_window(key, |active| {
            let before = match active.position {
                // What is trimmed before a log's oldest event is not known to be nothing.
                EventId::ZERO => prev.unwrap_or(event.0.before()),
                position => position,
            };
            active.position = event.0;
            let window = active.window.get_or_insert_with(|| Box::new(Window::at(before)));
            window.push(event);
            window.trim(limits);
        });
        self.shorten_to_budget();
    }

    /// Moves a topic over entries that no client can be given. Whether it stood before `position`.
    pub(crate) fn skip_to(&mut self, key: TopicKey, position: EventId) -> bool {
        let Some(active) = self.get_mut(key).filter(|active| active.position < position) else {
            return false;
        };
        active.position = position;
        if let Some(window) = &mut active.window {
            window.skip_to(position);
        }
        true
    }

    /// Notes that the log lost entries up to `from`. An id of the future is not taken for a time.
    pub(crate) fn note_gone(&mut self, key: TopicKey, from: EventId) {
        let Some(active) = self.get_mut(key) else { return };
        let at_most_ms = active.floor_ms.saturating_add(AHEAD_OF_FLOOR_MAX_MS);
        active.gone_ms = active.gone_ms.max(from.ms.min(at_most_ms));
    }

    /// Moves a topic to a place that its window does not lead to.
    pub(crate) fn jump(&mut self, key: TopicKey, position: EventId) {
        self.change_window(key, |active| {
            active.position = position;
            active.floor_ms = active.floor_ms.min(position.complete_ms());
            active.window = None;
            active.jumps = active.jumps.wrapping_add(1);
        });
    }

    /// Gives a topic's window a page that was read from the log behind `from`.
    pub(crate) fn extend_back(&mut self, key: TopicKey, from: EventId, page: &[Encoded]) {
        let limits = self.limits;
        if self.window_bytes >= limits.node_bytes_max {
            return;
        }
        self.change_window(key, |active| {
            let position = active.position;
            let window = active.window.get_or_insert_with(|| Box::new(Window::at(position)));
            window.extend_back(from, page, limits);
        });
        self.shorten_to_budget();
    }

    /// Notes how large the events of a topic are.
    pub(crate) fn note_sizes(&mut self, key: TopicKey, events: &[Encoded]) {
        let Self { active, event_size: of_all, .. } = self;
        let Some(active) = active.get_mut(key.0 as usize) else { return };
        for (_, frame) in events {
            let bytes = frame.chunk().len();
            active.event_size.note(bytes);
            of_all.note(bytes);
        }
    }

    /// About how large an event of a topic is at most. Bytes.
    pub(crate) fn event_bytes(&self, key: TopicKey) -> usize {
        self.get(key).map_or_else(EventSize::default, |active| active.event_size).or(self.event_size)
    }

    /// At most `limit` events behind `position`, if the window reaches back to it.
    pub(crate) fn page(
        &self,
        key: TopicKey,
        position: EventId,
        is_event: bool,
        limit: usize,
    ) -> Option<Vec<(EventId, Frame)>> {
        let active = self.get(key)?;
        match &active.window {
            Some(window) => window.page(position, is_event, limit),
            None => (position == active.position || (!is_event && position > active.position)).then(Vec::new),
        }
    }

    fn change_window(&mut self, key: TopicKey, change: impl FnOnce(&mut ActiveTopic)) {
        let Some(active) = self.active.get_mut(key.0 as usize) else { return };
        let before = active.window_bytes();
        change(active);
        self.window_bytes = self.window_bytes + active.window_bytes() - before;
    }

    /// Halves one window after the other until all together are within the node's budget.
    fn shorten_to_budget(&mut self) {
        while self.window_bytes > self.limits.node_bytes_max {
            let found = (self.hand..self.active.capacity().max(1)).find(|i| self.holds_bytes(*i));
            let Some(index) = found.or_else(|| (0..self.hand).find(|i| self.holds_bytes(*i))) else { return };
            self.hand = index + 1;
            self.change_window(TopicKey(u32::try_from(index).unwrap_or(u32::MAX)), |active| {
                if let Some(window) = &mut active.window {
                    window.halve();
                }
            });
        }
    }

    fn holds_bytes(&self, index: usize) -> bool {
        self.active.get(index).and_then(|active| active.window.as_ref()).is_some_and(|w| w.bytes() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ms: u64) -> Encoded {
        (EventId::at(ms), Frame::event(Some(EventId::at(ms)), None, &"x".repeat(100)))
    }

    #[test]
    fn the_budget_of_the_node_holds_whatever_the_topics_do() {
        let limits = WindowLimits { events_max: 1_000, bytes_max: 1 << 20, node_bytes_max: 4_000 };
        let mut topics = Topics::new(limits);
        let keys: Vec<_> = (0..5)
            .map(|i| topics.open(&Topic::parse(&format!("t{i}")).unwrap(), EventId::ZERO, EventId::ZERO))
            .collect();
        for ms in 1..500 {
            topics.push(keys[usize::try_from(ms % 5).unwrap()], event(ms), None);
            assert!(topics.window_bytes() <= limits.node_bytes_max);
        }
        for key in keys {
            let position = topics.get(key).unwrap().position;
            assert_eq!(
                topics.page(key, position, true, 9),
                Some(vec![]),
                "the newest position is always served"
            );
        }
    }

    #[test]
    fn a_closed_topic_gives_its_memory_back() {
        let mut topics = Topics::new(WindowLimits::default());
        let topic = Topic::parse("a").unwrap();
        let key = topics.open(&topic, EventId::ZERO, EventId::ZERO);
        topics.push(key, event(1), None);
        topics.get_mut(key).unwrap().feeds = 1;
        topics.close(&topic);
        assert_eq!(topics.len(), 1, "a feed still contains it");
        topics.get_mut(key).unwrap().feeds = 0;
        topics.close(&topic);
        assert_eq!((topics.len(), topics.window_bytes()), (0, 0));
    }
}
