//! What catch-up asks the hub: where topics stand, what their windows hold, and what a stream has of them.

use sluice_fanout::{TopicKey, TopicSet};
use sluice_wire::EventId;

use super::Hub;
use super::topics::ActiveTopic;
use super::window::Encoded;

impl Hub {
    /// At most `limit` events of a topic behind `position`, if its window reaches back to it.
    pub(crate) fn window_page(
        &self,
        key: TopicKey,
        position: EventId,
        is_event: bool,
        limit: usize,
    ) -> Option<Vec<Encoded>> {
        self.lock().topics.page(key, position, is_event, limit)
    }

    /// How often each topic of `set` was taken to a place that does not follow from the one before.
    pub(crate) fn jumps(&self, set: &TopicSet) -> Vec<u32> {
        let state = self.lock();
        set.keys().map(|key| state.topics.get(key).map_or(0, |active| active.jumps)).collect()
    }

    /// Up to where an earlier log of each topic of `set` may have had entries, which are gone.
    pub(crate) fn pasts(&self, set: &TopicSet) -> Vec<EventId> {
        let state = self.lock();
        set.keys().map(|key| state.topics.get(key).map_or(EventId::ZERO, ActiveTopic::past)).collect()
    }

    /// What no stream of `set` lacks that was on this node already, by topic: what an earlier log had before the topic was
    /// opened. Milliseconds.
    pub(crate) fn pasts_when_opened_ms(&self, set: &TopicSet) -> Vec<u64> {
        let state = self.lock();
        set.keys().map(|key| state.topics.get(key).map_or(0, ActiveTopic::past_when_opened_ms)).collect()
    }

    /// Tells of a page that was read from the log of a topic. Its window is offered it if it is known to be all
    /// that is retained behind `from`.
    pub(crate) fn offer_page(&self, key: TopicKey, from: Option<EventId>, page: &[Encoded]) {
        let mut state = self.lock();
        state.topics.note_sizes(key, page);
        if let Some(from) = from {
            state.topics.extend_back(key, from, page);
        }
    }

    /// About how large an event of each topic of `set` is at most. Bytes.
    pub(crate) fn event_bytes(&self, set: &TopicSet) -> Vec<usize> {
        let state = self.lock();
        set.keys().map(|key| state.topics.event_bytes(key)).collect()
    }

    /// Where a topic stands on this node, and the moment up to which it has everything. Milliseconds.
    pub(crate) fn standing(&self, key: TopicKey) -> (EventId, u64) {
        self.lock().topics.get(key).map_or_else(Default::default, |active| (active.position, active.floor_ms))
    }

    /// Where each topic of `set` stands on this node, and the moment up to which it has everything of all of them.
    /// Milliseconds.
    pub(crate) fn positions(&self, set: &TopicSet) -> (Vec<EventId>, u64) {
        let state = self.lock();
        let mut floor_ms = u64::MAX;
        let position_of = |key| {
            let (position, floor) = state
                .topics
                .get(key)
                .map_or_else(Default::default, |active| (active.position, active.floor_ms));
            floor_ms = floor_ms.min(floor);
            position
        };
        let positions = set.keys().map(position_of).collect();
        (positions, floor_ms)
    }

    /// The moment up to which a stream of `set` that stands at `positions` has everything. Milliseconds.
    pub(crate) fn floor_at(&self, set: &TopicSet, positions: &[EventId]) -> u64 {
        let state = self.lock();
        let floors = set.keys().zip(positions).map(|(key, position)| match state.topics.get(key) {
            Some(active) if active.position == *position => active.floor_ms,
            // Whatever it lacks of this topic has a later id than the last it was given; and an event that Redis
            // lost must be named by the cursor, or nobody is told.
            Some(active) => active.floor_ms.min(position.complete_ms()),
            None => 0,
        });
        floors.min().unwrap_or(0)
    }
}
