//! What the follower tells the hub. Runs inline on the subscriber's connection: encode, note, tell, return.

use std::sync::atomic::Ordering;

use sluice_broker::{Gap, GapReason, Sink};
use sluice_fanout::{Notice, TopicKey};
use sluice_wire::sse::Frame;
use sluice_wire::{ByteString, Event, EventId, Topic};

use super::Hub;
use crate::control;

impl Sink for Hub {
    fn opened(&self, topic: &Topic, position: EventId, past: EventId) {
        self.lock().topics.open(topic, position, past);
    }

    fn closed(&self, topic: &Topic) {
        self.lock().topics.close(topic);
    }

    fn events(&self, topic: &Topic, events: &[Event], position: EventId) {
        let encoded: Vec<_> = events
            .iter()
            .map(|event| {
                let witness = self.spans().deliver(topic, event);
                let frame = Frame::event(Some(event.id), event.event_type.as_ref(), &event.data);
                (event, frame, witness)
            })
            .collect();
        self.tallies().events_in(events.len());
        let mut state = self.lock();
        let Some(topic) = state.topics.key(topic) else { return };
        for (event, frame, witness) in encoded {
            let id = event.id;
            state.topics.push(topic, (id, frame.clone()), event.prev);
            self.tell(Notice::Event { topic, id, frame, witness });
        }
        if state.topics.skip_to(topic, position) {
            self.tell(Notice::Skip { topic, position });
        }
    }

    fn plain(&self, topic: &Topic, data: ByteString) {
        let frame = Frame::event(None, None, &data);
        self.tallies().plain_in();
        let state = self.lock();
        if let Some(topic) = state.topics.key(topic) {
            self.tell(Notice::Plain { topic, frame });
        }
    }

    fn gap(&self, gap: &Gap, position: EventId) {
        let frame = control::gap(gap);
        self.tallies().gap(gap.reason);
        let mut state = self.lock();
        if let Some(topic) = state.topics.key(&gap.topic) {
            if gap.reason != GapReason::Trimmed {
                state.topics.note_gone(topic, gap.from);
            }
            state.topics.jump(topic, position);
            self.tell(Notice::Jump { topic, position, frame });
        }
    }

    fn confirmed(&self, topics: &[(Topic, u64)]) {
        let mut state = self.lock();
        let floors: Vec<(TopicKey, u64)> = topics
            .iter()
            .filter_map(|(topic, floor_ms)| {
                let key = state.topics.key(topic)?;
                let active = state.topics.get_mut(key)?;
                active.floor_ms = active.floor_ms.max(*floor_ms);
                Some((key, *floor_ms))
            })
            .collect();
        self.tell(Notice::Confirmed { floors: floors.into() });
    }

    fn floor_ms(&self, topic: &Topic) -> u64 {
        let state = self.lock();
        let active = state.topics.key(topic).and_then(|key| state.topics.get(key));
        active.map_or(0, |active| active.floor_ms)
    }

    fn link(&self, live: bool) {
        if self.shared.live.swap(live, Ordering::AcqRel) != live {
            let _order = self.lock();
            self.tell(Notice::Broadcast { frame: if live { control::live() } else { control::stale() } });
        }
    }
}
