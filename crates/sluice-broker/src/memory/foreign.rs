//! What others do to a log of Redis, for tests on the embedded broker: entries without data, ids of any moment,
//! deletions, logs that go and come back. Listeners are told nothing, as Redis tells nothing.

use sluice_wire::envelope::LiveMessage;
use sluice_wire::{ByteString, Event, EventId, Topic};

use super::MemoryBroker;
use super::log::{Log, bytes_of};
use super::state::State;
use crate::broker::Announcement;

/// One write by somebody who is not Sluice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForeignWrite {
    /// `XADD` of this id with `data`, or of one that every node leaves out for want of it. Refused where the log's
    /// last id is as great, or where another topic has the id.
    Add {
        /// The entry's id.
        id: EventId,
        /// The payload.
        data: Option<ByteString>,
    },
    /// `XDEL`.
    Delete(EventId),
    /// `XTRIM MAXLEN`.
    Trim(usize),
    /// `DEL` of the log; with `true`, the log is kept to be put back.
    Drop(bool),
    /// `RENAME` or `RESTORE .. REPLACE` of what was kept; nothing without it.
    PutBack,
    /// `COPY` of the log, to be put back.
    Keep,
    /// `XSETID`. Refused below the newest entry.
    SetLast(EventId),
    /// A key of another type in place of the log, which makes every read of it fail; or, with `false`, its removal.
    WrongType(bool),
    /// An envelope of an event that no log holds.
    Forge(Event),
    /// A message that is neither an envelope nor text.
    Garbage,
}

impl MemoryBroker {
    /// Writes as somebody who is not Sluice does. `false`: Redis would refuse it. For tests.
    pub fn write_foreign(&self, topic: &Topic, write: ForeignWrite) -> bool {
        self.state().write_foreign(topic, write)
    }

    /// The ids of the log's entries, those that are left out included. For tests.
    #[must_use]
    pub fn ids(&self, topic: &Topic) -> Vec<EventId> {
        let now_ms = (self.clock)();
        self.state()
            .log(topic, now_ms)
            .map_or_else(Vec::new, |log| log.events().map(|event| event.id).collect())
    }
}

impl State {
    fn write_foreign(&mut self, topic: &Topic, write: ForeignWrite) -> bool {
        match write {
            ForeignWrite::Add { id, data } => return self.add_foreign(topic, id, data),
            ForeignWrite::Delete(id) => {
                let Some(event) = self.logs.get_mut(topic).and_then(|log| log.delete(id)) else {
                    return false;
                };
                self.forget_events(std::slice::from_ref(&event));
            }
            ForeignWrite::Trim(keep) => {
                while self.logs.get(topic).is_some_and(|log| log.len() > keep) {
                    self.pop_oldest(topic);
                }
            }
            ForeignWrite::Drop(kept) => {
                let Some(log) = self.logs.remove(topic) else { return false };
                // As by the record that a writer keeps: of its clock's time, whatever ids others gave.
                self.pasts.note(topic, log.last().min(self.last));
                self.forget_events(&log.events().cloned().collect::<Vec<_>>());
                if kept {
                    self.kept.insert(topic.clone(), log);
                }
            }
            ForeignWrite::Keep => {
                let Some(log) = self.logs.get(topic) else { return false };
                self.kept.insert(topic.clone(), log.clone());
            }
            ForeignWrite::PutBack => return self.put_back(topic),
            ForeignWrite::SetLast(id) => {
                return self.logs.get_mut(topic).is_some_and(|log| log.set_last(id));
            }
            ForeignWrite::WrongType(wrong) => {
                if wrong {
                    self.write_foreign(topic, ForeignWrite::Drop(false));
                    self.wrong_type.insert(topic.clone());
                } else {
                    self.wrong_type.remove(topic);
                }
            }
            ForeignWrite::Forge(event) => {
                self.listeners.announce(topic, &Announcement::Message(LiveMessage::Event(event)));
            }
            ForeignWrite::Garbage => {
                self.listeners.announce(topic, &Announcement::Foreign("written by a test".to_owned()));
            }
        }
        true
    }

    fn add_foreign(&mut self, topic: &Topic, id: EventId, data: Option<ByteString>) -> bool {
        let last = self.logs.get(topic).map_or(EventId::ZERO, Log::last);
        if id <= last || self.by_age.contains_key(&id) || self.wrong_type.contains(topic) {
            return false;
        }
        let log = self.logs.entry(topic.clone()).or_default();
        if data.is_none() {
            log.leave_out(id);
        }
        let data = data.unwrap_or_default();
        let event = Event { id, prev: None, event_type: None, data, traceparent: None };
        self.event_bytes += bytes_of(&event);
        log.push(event);
        self.by_age.insert(id, topic.clone());
        true
    }

    fn put_back(&mut self, topic: &Topic) -> bool {
        let Some(log) = self.kept.get(topic).cloned() else { return false };
        if log.events().any(|event| self.by_age.get(&event.id).is_some_and(|owner| owner != topic)) {
            return false;
        }
        self.write_foreign(topic, ForeignWrite::Drop(false));
        self.wrong_type.remove(topic);
        for event in log.events() {
            self.event_bytes += bytes_of(event);
            self.by_age.insert(event.id, topic.clone());
        }
        self.logs.insert(topic.clone(), log);
        true
    }

    fn forget_events(&mut self, events: &[Event]) {
        for event in events {
            self.by_age.remove(&event.id);
            self.event_bytes -= bytes_of(event);
        }
    }
}
