//! All logs of the embedded broker under one lock: appending, retention, and the bound on memory. No clock of
//! its own; the time is always an argument.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use sluice_wire::envelope::LiveMessage;
use sluice_wire::{Event, EventId, NewEvent, Topic};

use super::announce::Listeners;
use super::holdings::Holdings;
use super::log::{Log, bytes_of};
use super::once::Once;
use super::pasts::Pasts;
use crate::broker::Announcement;
use crate::{Appended, BrokerError, LogHead, Retention};

/// Between two looks for expired logs while there is no room for another topic.
const SWEEP_INTERVAL_MS: u64 = 1_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) listeners: Listeners,
    pub(super) holdings: Holdings,
    pub(super) logs: HashMap<Topic, Log>,
    pub(super) pasts: Pasts,
    /// Every retained event by id, which is unique over all topics: who is oldest.
    pub(super) by_age: BTreeMap<EventId, Topic>,
    /// What foreign writes made of keys: logs to be put back, and keys that are no logs.
    pub(super) kept: HashMap<Topic, Log>,
    pub(super) wrong_type: HashSet<Topic>,
    once: Once,
    pub(super) last: EventId,
    pub(super) event_bytes: usize,
    bytes_max: usize,
    topics_max: usize,
    once_window_ms: u64,
    /// When expired logs were last looked for.
    swept_at_ms: u64,
}

impl State {
    pub(super) fn new(bytes_max: usize, topics_max: usize, once_window: Duration) -> Self {
        Self {
            listeners: Listeners::default(),
            holdings: Holdings::default(),
            logs: HashMap::new(),
            pasts: Pasts::new(topics_max),
            by_age: BTreeMap::new(),
            kept: HashMap::new(),
            wrong_type: HashSet::new(),
            once: Once::default(),
            last: EventId::ZERO,
            event_bytes: 0,
            bytes_max,
            topics_max,
            once_window_ms: millis(once_window),
            swept_at_ms: 0,
        }
    }

    /// Appends and announces one event.
    pub(super) fn append(
        &mut self,
        new: &NewEvent,
        retention: Retention,
        now_ms: u64,
    ) -> Result<Appended, BrokerError> {
        self.readable(&new.topic)?;
        if let Some(id) = self.once.touch(new, now_ms, self.once_window_ms)? {
            return Ok(Appended { id, repeated: true });
        }
        self.forget_if_expired(&new.topic, now_ms);
        if self.logs.len() >= self.topics_max {
            self.forget_expired(now_ms);
        }
        if !self.logs.contains_key(&new.topic) && self.logs.len() >= self.topics_max {
            let why = format!("the embedded broker holds {} topics at most", self.topics_max);
            return Err(BrokerError::Refused(why));
        }
        let given = self.next_id(now_ms);
        let past = self.pasts.of(&new.topic);
        let log = self.logs.entry(new.topic.clone()).or_default();
        if log.last() == EventId::MAX {
            return Err(BrokerError::Refused("the log has given the greatest id that there is".to_owned()));
        }
        // A log whose last id somebody made greater goes on behind that, and no other log does.
        let id = given.max(log.last().after());
        if id == given {
            self.last = id;
        }
        let prev = if log.last() == EventId::ZERO { past.min(id.before()) } else { log.last() };
        let event = Event {
            id,
            prev: Some(prev),
            event_type: new.event_type.clone(),
            data: new.data.clone(),
            traceparent: new.traceparent.clone(),
        };
        log.push(event.clone());
        log.expires_at_ms = retention.horizon().map(|horizon| now_ms.saturating_add(millis(horizon)));
        self.event_bytes += bytes_of(&event);
        self.by_age.insert(id, new.topic.clone());
        self.once.remember(new, id, now_ms + self.once_window_ms);
        self.trim(&new.topic, retention, now_ms);
        self.evict();
        self.listeners.announce(&new.topic, &Announcement::Message(LiveMessage::Event(event)));
        Ok(Appended { id, repeated: false })
    }

    /// Where the clock is behind the last id, the ids next in turn may have been given before, to events that a
    /// failover lost; so some are left out.
    fn next_id(&self, now_ms: u64) -> EventId {
        if now_ms < self.last.ms {
            return EventId::new(self.last.ms, self.last.seq.saturating_add(fastrand::u64(1..1_000_000)));
        }
        EventId::at(now_ms).max(self.last.after())
    }

    /// Forgets the events from `id` on, in all logs.
    pub(super) fn forget_from(&mut self, id: EventId) {
        for (lost, topic) in self.by_age.split_off(&id).into_iter().rev() {
            let event = self.logs.get_mut(&topic).and_then(Log::pop_newest);
            debug_assert_eq!(event.as_ref().map(|event| event.id), Some(lost));
            self.event_bytes -= event.as_ref().map_or(0, bytes_of);
        }
        self.last = self.logs.values().map(Log::last).max().unwrap_or_default();
    }

    /// An error where the key of `topic` is no log.
    pub(super) fn readable(&self, topic: &Topic) -> Result<(), BrokerError> {
        if self.wrong_type.contains(topic) {
            return Err(BrokerError::Unexpected("the key holds something that is not a log".to_owned()));
        }
        Ok(())
    }

    /// Where the log of `topic` stands, or an earlier one stood.
    pub(super) fn head(&mut self, topic: &Topic, now_ms: u64) -> LogHead {
        let head = self.log(topic, now_ms).map_or_else(LogHead::default, Log::head);
        let past = if head.last == EventId::ZERO { self.pasts.of(topic) } else { EventId::ZERO };
        LogHead { past, ..head }
    }

    /// The log of `topic`, unless it has expired.
    pub(super) fn log(&mut self, topic: &Topic, now_ms: u64) -> Option<&Log> {
        self.forget_if_expired(topic, now_ms);
        self.logs.get(topic)
    }

    /// Forgets all logs that have expired: finished topics make room for new ones. Looks at most once a second.
    fn forget_expired(&mut self, now_ms: u64) {
        if now_ms < self.swept_at_ms.saturating_add(SWEEP_INTERVAL_MS) {
            return;
        }
        self.swept_at_ms = now_ms;
        let expired = self.logs.iter().filter(|(_, log)| log.is_expired(now_ms));
        let expired: Vec<Topic> = expired.map(|(topic, _)| topic.clone()).collect();
        for topic in expired {
            self.forget_if_expired(&topic, now_ms);
        }
    }

    fn forget_if_expired(&mut self, topic: &Topic, now_ms: u64) {
        if !self.logs.get(topic).is_some_and(|log| log.is_expired(now_ms)) {
            return;
        }
        if let Some(log) = self.logs.remove(topic) {
            self.pasts.note(topic, log.last());
            for event in log.events() {
                self.by_age.remove(&event.id);
                self.event_bytes -= bytes_of(event);
            }
        }
    }

    fn trim(&mut self, topic: &Topic, retention: Retention, now_ms: u64) {
        let oldest_kept =
            retention.age_max.map_or(EventId::ZERO, |age| EventId::at(now_ms.saturating_sub(millis(age))));
        while let Some(log) = self.logs.get(topic) {
            let too_many = retention.events_max.is_some_and(|max| log.len() as u64 > max);
            let too_old = log.oldest().is_some_and(|id| id < oldest_kept);
            if !(too_many || too_old) {
                return;
            }
            self.pop_oldest(topic);
        }
    }

    /// Removes the events of `topic` with ids less than `before`.
    pub(super) fn trim_before(&mut self, topic: &Topic, before: EventId) {
        while self.logs.get(topic).and_then(Log::oldest).is_some_and(|oldest| oldest < before) {
            self.pop_oldest(topic);
        }
    }

    /// Removes the node's oldest events until the rest fits; the very newest stays.
    fn evict(&mut self) {
        while self.event_bytes + self.once.bytes() > self.bytes_max && self.by_age.len() > 1 {
            let Some(topic) = self.by_age.values().next().cloned() else { return };
            self.pop_oldest(&topic);
        }
    }

    pub(super) fn pop_oldest(&mut self, topic: &Topic) {
        if let Some(event) = self.logs.get_mut(topic).and_then(Log::pop_oldest) {
            self.by_age.remove(&event.id);
            self.event_bytes -= bytes_of(&event);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::log::EVENT_OVERHEAD_BYTES;

    fn state(bytes_max: usize) -> State {
        State::new(bytes_max, 3, Duration::from_secs(300))
    }

    fn event(topic: &str, data: &str) -> NewEvent {
        NewEvent::new(Topic::parse(topic).unwrap(), data.to_owned())
    }

    #[test]
    fn ids_grow_although_the_clock_stands_or_steps_back() {
        let mut state = state(1 << 20);
        let mut last = EventId::ZERO;
        for now_ms in [100, 100, 50, 101] {
            let id = state.append(&event("t", "x"), Retention::UNLIMITED, now_ms).unwrap().id;
            assert!(id > last);
            last = id;
        }
        assert_eq!(last, EventId::at(101));
    }

    #[test]
    fn the_bound_evicts_the_oldest_of_any_topic_and_keeps_the_head() {
        let mut state = state(3 * (EVENT_OVERHEAD_BYTES + 4));
        for (topic, now_ms) in [("a", 1), ("b", 2), ("b", 3), ("b", 4)] {
            state.append(&event(topic, "1234"), Retention::UNLIMITED, now_ms).unwrap();
        }
        let head = state.log(&Topic::parse("a").unwrap(), 5).unwrap().head();
        assert_eq!((head.last, head.oldest), (EventId::at(1), None));
        assert_eq!(state.log(&Topic::parse("b").unwrap(), 5).unwrap().len(), 3);
        assert_eq!(state.event_bytes, 3 * (EVENT_OVERHEAD_BYTES + 4));
    }

    #[test]
    fn retention_trims_by_count_and_by_age() {
        let mut state = state(1 << 20);
        let kept =
            Retention { events_max: Some(2), age_max: Some(Duration::from_millis(10)), idle_max: None };
        for now_ms in [1, 2, 3] {
            state.append(&event("t", "x"), kept, now_ms).unwrap();
        }
        assert_eq!(state.logs[&Topic::parse("t").unwrap()].oldest(), Some(EventId::at(2)));
        let kept = Retention { events_max: None, ..kept };
        for now_ms in [12, 13] {
            state.append(&event("t", "x"), kept, now_ms).unwrap();
        }
        assert_eq!(state.logs[&Topic::parse("t").unwrap()].oldest(), Some(EventId::at(3)));
    }

    #[test]
    fn finished_topics_make_room_for_new_ones() {
        let mut state = state(1 << 20);
        let kept = Retention { age_max: Some(Duration::from_secs(10)), ..Retention::UNLIMITED };
        for (topic, now_ms) in [("1", 20_000), ("2", 21_000), ("3", 29_000), ("4", 31_000), ("5", 32_000)] {
            state.append(&event(topic, "x"), kept, now_ms).unwrap();
        }
        assert_eq!((state.logs.len(), state.by_age.len()), (3, 3));
        assert!(state.append(&event("6", "x"), kept, 33_000).is_err());
    }

    #[test]
    fn an_idle_topic_is_forgotten_and_a_further_topic_refused() {
        let mut state = state(1 << 20);
        let brief = Retention { idle_max: Some(Duration::from_millis(10)), ..Retention::UNLIMITED };
        state.append(&event("t", "x"), brief, 1).unwrap();
        assert!(state.log(&Topic::parse("t").unwrap(), 10).is_some());
        assert!(state.log(&Topic::parse("t").unwrap(), 11).is_none());
        assert!(state.by_age.is_empty() && state.event_bytes == 0);
        for topic in ["1", "2", "3"] {
            state.append(&event(topic, "x"), Retention::UNLIMITED, 20).unwrap();
        }
        let refused = state.append(&event("4", "x"), Retention::UNLIMITED, 20);
        assert!(matches!(refused, Err(BrokerError::Refused(_))));
    }
}
