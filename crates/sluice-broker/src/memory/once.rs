//! Idempotency records: which key made which event, for a window of time. Pure.

use std::collections::{HashMap, VecDeque};

use std::hash::{DefaultHasher, Hash, Hasher};

use sluice_wire::{EventId, IdempotencyKey, NewEvent, Topic};

use crate::BrokerError;

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
    /// Of the event's type and data.
    digest: u64,
    ends_at_ms: u64,
}

impl Once {
    /// The event that the key of `new` made, if its window is still open at `now_ms`; the window begins anew.
    ///
    /// # Errors
    ///
    /// [`BrokerError::KeyReused`] when that event was another one.
    pub(super) fn touch(
        &mut self,
        new: &NewEvent,
        now_ms: u64,
        window_ms: u64,
    ) -> Result<Option<EventId>, BrokerError> {
        self.forget_ended(now_ms);
        let Some(name) = name_of(new) else { return Ok(None) };
        let Some(record) = self.records.get(&name).copied() else { return Ok(None) };
        if record.digest != digest_of(new) {
            return Err(BrokerError::KeyReused);
        }
        self.insert(name, Record { ends_at_ms: now_ms + window_ms, ..record });
        Ok(Some(record.id))
    }

    /// Remembers the key of `new`, if it has one, until `ends_at_ms`.
    pub(super) fn remember(&mut self, new: &NewEvent, id: EventId, ends_at_ms: u64) {
        if let Some(name) = name_of(new) {
            self.insert(name, Record { id, digest: digest_of(new), ends_at_ms });
        }
    }

    /// The bytes that the records count for.
    pub(super) fn bytes(&self) -> usize {
        self.ends.len() * RECORD_BYTES
    }

    fn insert(&mut self, name: Name, record: Record) {
        let ends_at_ms = record.ends_at_ms;
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

fn name_of(new: &NewEvent) -> Option<Name> {
    Some((new.topic.clone(), new.key.clone()?))
}

fn digest_of(new: &NewEvent) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&new.event_type, &*new.data).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_record_outlives_its_first_window() {
        let key = Some(IdempotencyKey::parse("k").unwrap());
        let new = NewEvent { key, ..NewEvent::new(Topic::parse("t").unwrap(), "x") };
        let mut once = Once::default();
        once.remember(&new, EventId::at(1), 100);
        for (now_ms, id) in [(90, Some(EventId::at(1))), (150, Some(EventId::at(1))), (250, None)] {
            assert_eq!(once.touch(&new, now_ms, 100).unwrap(), id);
        }
        assert_eq!(once.bytes(), 0);
    }
}
