//! Where logs ended that are gone, so that the first entry of the next one can say so. Pure.

use std::collections::HashMap;

use sluice_wire::{EventId, Topic};

#[derive(Debug)]
pub(super) struct Pasts {
    ended: HashMap<Topic, EventId>,
    topics_max: usize,
}

impl Pasts {
    pub(super) fn new(topics_max: usize) -> Self {
        Self { ended: HashMap::new(), topics_max }
    }

    /// The log of `topic` is gone, whose last id was `last`.
    pub(super) fn note(&mut self, topic: &Topic, last: EventId) {
        if self.ended.len() >= self.topics_max {
            self.ended.clear();
        }
        self.ended.insert(topic.clone(), EventId::new(last.ms, u64::MAX));
    }

    /// Up to here earlier logs of `topic` had entries; [`EventId::ZERO`] if none is known.
    pub(super) fn of(&self, topic: &Topic) -> EventId {
        self.ended.get(topic).copied().unwrap_or_default()
    }
}
