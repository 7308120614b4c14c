//! Idempotency records: which key made which event, for a window of time. Pure.

use std::collections::{HashMap, VecDeque};

use sluice_wire::{EventId, IdempotencyKey, Topic};

/// What a record is counted with: two map slots and the key's text.
const RECORD_BYTES: usize = 320;

type Name = (Topic, IdempotencyKey);

#[derive(Debug, Default)]
pub(super) struct Once {
    records: HashMap<Name, Record>,
    /// By rising end of window; an entry counts only if the record still ends then.
    ends: VecDeque<(u64, Name)>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    id: EventId,
    ends_at_ms: u64,
}

impl Once {
    /// The event that `key` made, if its window is still open at `now_ms`; the window begins anew.
    pub(super) fn touch(
        &mut self,
        topic: &Topic,
        key: &IdempotencyKey,
        now_ms: u64,
        window_ms: u64,
    ) -> Option<EventId> {
        self.forget_ended(now_ms);
        let name = (topic.clone(), key.clone());
        let id = self.records.get(&name)?.id;
        self.insert(name, id, now_ms + window_ms);
        Some(id)
    }

    pub(super) fn remember(&mut self, topic: &Topic, key: &IdempotencyKey, id: EventId, ends_at_ms: u64) {
        self.insert((topic.clone(), key.clone()), id, ends_at_ms);
    }

    /// The bytes that the records count for.
    pub(super) fn bytes(&self) -> usize {
        self.ends.len() * RECORD_BYTES
    }

    fn insert(&mut self, name: Name, id: EventId, ends_at_ms: u64) {
        let record = Record { id, ends_at_ms };
        if self.records.insert(name.clone(), record).is_none_or(|old| old.ends_at_ms != ends_at_ms) {
            self.ends.push_back((ends_at_ms, name));
        }
    }

    fn forget_ended(&mut self, now_ms: u64) {
        while self.ends.front().is_some_and(|(ends_at_ms, _)| *ends_at_ms <= now_ms) {
            let Some((ends_at_ms, name)) = self.ends.pop_front() else { return };
            if self.records.get(&name).is_some_and(|record| record.ends_at_ms == ends_at_ms) {
                self.records.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_record_outlives_its_first_window() {
        let (topic, key) = (Topic::parse("t").unwrap(), IdempotencyKey::parse("k").unwrap());
        let mut once = Once::default();
        once.remember(&topic, &key, EventId::at(1), 100);
        assert_eq!(once.touch(&topic, &key, 90, 100), Some(EventId::at(1)));
        assert_eq!(once.touch(&topic, &key, 150, 100), Some(EventId::at(1)));
        assert_eq!(once.touch(&topic, &key, 250, 100), None);
        assert_eq!(once.bytes(), 0);
    }
}
