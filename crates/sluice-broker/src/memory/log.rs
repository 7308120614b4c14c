//! The log of one topic: its retained events and the last id it generated. Pure.

use std::collections::{BTreeSet, VecDeque};

use sluice_wire::{Event, EventId};

use crate::{LogHead, Page};

/// What an event is counted with beside its text.
pub(super) const EVENT_OVERHEAD_BYTES: usize = 128;

/// Events by rising id. The ids it removes are always the oldest.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    events: VecDeque<Event>,
    /// Of those, the ones that no client can be given. Only tests write such.
    left_out: BTreeSet<EventId>,
    last: EventId,
    /// The greatest id that was deleted by hand.
    deleted: EventId,
    /// Something was removed.
    trimmed: bool,
    /// When the whole log is forgotten, if nothing is appended before.
    pub(super) expires_at_ms: Option<u64>,
}

/// The bytes that `event` counts for.
pub(super) fn bytes_of(event: &Event) -> usize {
    let of_type = event.event_type.as_ref().map_or(0, |t| t.as_str().len());
    let of_trace = event.traceparent.as_ref().map_or(0, |t| t.len());
    EVENT_OVERHEAD_BYTES + event.data.len() + of_type + of_trace
}

impl Log {
    pub(super) fn push(&mut self, event: Event) {
        debug_assert!(event.id > self.last);
        self.last = event.id;
        self.events.push_back(event);
    }

    /// The entry that comes next is none that a client can be given.
    pub(super) fn leave_out(&mut self, id: EventId) {
        self.left_out.insert(id);
    }

    pub(super) fn pop_oldest(&mut self) -> Option<Event> {
        self.trimmed = true;
        let event = self.events.pop_front()?;
        self.left_out.remove(&event.id);
        Some(event)
    }

    /// Takes one entry out, as XDEL does.
    pub(super) fn delete(&mut self, id: EventId) -> Option<Event> {
        let index = self.events.binary_search_by_key(&id, |event| event.id).ok()?;
        self.trimmed = true;
        self.deleted = self.deleted.max(id);
        self.left_out.remove(&id);
        self.events.remove(index)
    }

    /// Sets the last id, as XSETID does, unless an entry is greater.
    pub(super) fn set_last(&mut self, id: EventId) -> bool {
        let fits = self.events.back().is_none_or(|newest| newest.id <= id);
        if fits {
            self.last = id;
        }
        fits
    }

    /// Takes back the newest event, as if it had never been.
    pub(super) fn pop_newest(&mut self) -> Option<Event> {
        let event = self.events.pop_back()?;
        // The first entry names what is known of an earlier log, as a moment.
        self.last = event.prev.filter(|prev| prev.seq != u64::MAX).unwrap_or_default();
        Some(event)
    }

    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    pub(super) fn oldest(&self) -> Option<EventId> {
        self.events.front().map(|event| event.id)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn last(&self) -> EventId {
        self.last
    }

    pub(super) fn head(&self) -> LogHead {
        LogHead {
            last: self.last,
            oldest: self.oldest(),
            whole: !self.trimmed && !self.events.is_empty(),
            deleted: self.deleted,
            past: EventId::ZERO,
        }
    }

    /// All events, oldest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    pub(super) fn read(&self, from: EventId, to: EventId, limit: usize) -> Page {
        let start = self.events.partition_point(|event| event.id < from);
        let within = self.events.range(start..).take_while(|event| event.id <= to);
        let mut events: Vec<Event> = within.take(limit).cloned().collect();
        let mut page = Page {
            first: events.first().map(|event| event.id),
            last: events.last().map(|event| event.id),
            more: events.len() == limit,
            ..Page::default()
        };
        events.retain(|event| {
            let left_out = self.left_out.contains(&event.id);
            if left_out {
                page.skipped.push(event.id);
            }
            !left_out
        });
        page.events = events;
        page
    }

    pub(super) fn newest_until(&self, at: EventId) -> Option<EventId> {
        let end = self.events.partition_point(|event| event.id <= at);
        end.checked_sub(1).map(|index| self.events[index].id)
    }

    /// The newest `limit` entries with `id <= from`, the newest first.
    pub(super) fn read_back(&self, from: EventId, limit: usize) -> Page {
        let end = self.events.partition_point(|event| event.id <= from);
        let entries: Vec<&Event> = self.events.range(..end).rev().take(limit).collect();
        let (skipped, events): (Vec<&Event>, Vec<&Event>) =
            entries.iter().copied().partition(|entry| self.left_out.contains(&entry.id));
        Page {
            first: entries.first().map(|entry| entry.id),
            last: entries.last().map(|entry| entry.id),
            more: entries.len() >= limit,
            skipped: skipped.into_iter().map(|entry| entry.id).collect(),
            events: events.into_iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::ByteString;

    fn log_of(ids: &[u64]) -> Log {
        let mut log = Log::default();
        for ms in ids {
            let prev = Some(log.last());
            let data = ByteString::from_static("x");
            log.push(Event { id: EventId::at(*ms), prev, event_type: None, data, traceparent: None });
        }
        log
    }

    #[test]
    fn reads_ranges_inclusively_and_says_when_there_may_be_more() {
        let log = log_of(&[10, 20, 30]);
        let page = log.read(EventId::at(10), EventId::at(30), 2);
        assert_eq!((page.first, page.last, page.more), (Some(EventId::at(10)), Some(EventId::at(20)), true));
        let page = log.read(EventId::at(11), EventId::at(30), 3);
        assert_eq!((page.events.len(), page.more), (2, false));
        assert_eq!(log.read(EventId::at(31), EventId::MAX, 3), Page::default());
    }

    #[test]
    fn finds_positions_before_the_newest() {
        let log = log_of(&[10, 20, 30]);
        let back = |from, limit| -> Vec<u64> {
            log.read_back(EventId::at(from), limit).events.iter().map(|event| event.id.ms).collect()
        };
        assert_eq!((back(99, 2), back(29, 9), back(9, 9)), (vec![30, 20], vec![20, 10], vec![]));
        assert_eq!(log.newest_until(EventId::at(25)), Some(EventId::at(20)));
        assert_eq!(log.newest_until(EventId::at(9)), None);
    }
}
