//! One topic of a catch-up: what lies between the client's position and the fence, page by page, from the
//! window where it reaches back far enough, else from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use sluice_broker::{Broker, BrokerError, Gap, GapReason, Replay, ReplayPage, ReplaySettings, Start};
use sluice_fanout::TopicKey;
use sluice_wire::sse::Frame;
use sluice_wire::{EventId, Topic};

use crate::hub::Hub;
use crate::hub::window::Encoded;

/// Something of a topic that the client is to be given.
#[derive(Debug)]
pub(super) enum Item {
    Event(EventId, Frame),
    /// Events are missing; delivery goes on behind the gap's `to`.
    Gap(Box<Gap>),
}

impl Item {
    /// Where the topic stands behind it; also what items of several topics are merged by.
    pub(super) fn position(&self) -> EventId {
        match self {
            Self::Event(id, _) => *id,
            Self::Gap(gap) => gap.to,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    key: TopicKey,
    topic: Topic,
    /// Everything up to here was put into `items`.
    start: Start,
    items: VecDeque<Item>,
    /// What was read of the log to make `items` of it, as encoded. Bytes.
    read_bytes: usize,
    /// Everything up to here was taken out.
    stands: Start,
    /// The topic's jumps that this knows of.
    jumps: u32,
    /// Up to here an earlier log of the topic may have had entries, which are gone.
    past: EventId,
    /// The log ended before the fence.
    doubtful: bool,
}

impl Source {
    pub(super) fn new(key: TopicKey, topic: Topic, start: Start, jumps: u32) -> Self {
        Self {
            key,
            topic,
            start,
            items: VecDeque::new(),
            read_bytes: 0,
            stands: start,
            jumps,
            past: EventId::ZERO,
            doubtful: false,
        }
    }

    /// What was read of a log before it was rewound, and how far, says nothing of what it is now. Whether it was.
    pub(super) fn note_jumps(&mut self, jumps: u32) -> bool {
        if self.jumps == jumps {
            return false;
        }
        self.jumps = jumps;
        self.go_back();
        true
    }

    /// Up to `past` an earlier log of the topic may have had entries. Where there is no log yet, the client is told of
    /// those that it lacks; where there is one, reading it tells.
    pub(super) fn note_past(&mut self, past: EventId, to: EventId) {
        self.past = past;
        if to != EventId::ZERO || !self.items.is_empty() {
            return;
        }
        if let Some(gap) = Gap::of_past(&self.topic, self.start, past) {
            self.start = Start::Moment(gap.to);
            self.items.push_back(Item::Gap(Box::new(gap)));
        }
    }

    /// Forgets what was read and not yet taken out.
    pub(super) fn go_back(&mut self) {
        self.start = self.stands;
        self.items = VecDeque::new();
    }

    /// Keeps nothing in memory that can be read again.
    pub(super) fn let_go(&mut self) {
        if !self.items.is_empty() {
            self.go_back();
        }
    }

    /// What of the log is in memory for it; a page is counted until all of it was taken out. Bytes.
    pub(super) fn held_bytes(&self) -> usize {
        if self.items.is_empty() { 0 } else { self.read_bytes }
    }

    /// Where delivery goes on after a rewind, if that is not at or before `to`.
    pub(super) fn rewound_beyond(&self, to: EventId) -> Option<EventId> {
        self.items.iter().find_map(|item| match item {
            Item::Gap(gap) if gap.reason == GapReason::Rewound && gap.to > to => Some(gap.to),
            _ => None,
        })
    }

    /// Whether the log was read up to `to` and did not show an entry there, once: it may be rewound.
    pub(super) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubtful)
    }

    /// Where the client stands.
    pub(super) fn position(&self) -> EventId {
        self.stands.position()
    }

    pub(super) fn key(&self) -> TopicKey {
        self.key
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Whether the position is that of an event, not only a moment.
    pub(super) fn is_at_event(&self) -> bool {
        matches!(self.start, Start::Seen { id, .. } if id.seq != u64::MAX)
    }

    /// Whether it must be filled before it can say what comes next on the way to `to`.
    pub(super) fn is_thirsty(&self, to: EventId) -> bool {
        self.items.is_empty() && self.start.position() < to
    }

    /// Whether nothing is left on the way to `to`.
    pub(super) fn is_through(&self, to: EventId) -> bool {
        self.items.is_empty() && self.start.position() >= to
    }

    /// Nothing was left on the way to `to`, and the stream goes on from there.
    pub(super) fn arrive(&mut self, to: EventId) {
        if self.stands.position() < to {
            self.stands = Start::seen(to);
        }
    }

    pub(super) fn peek(&self) -> Option<EventId> {
        self.items.front().map(Item::position)
    }

    pub(super) fn take(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.stands = match &item {
            Item::Event(id, _) => Start::seen(*id),
            Item::Gap(gap) => Start::Moment(gap.to),
        };
        Some(item)
    }

    /// Takes the next page behind `start` out of the window. Whether the window reached back so far.
    pub(super) fn fill_from_window(&mut self, hub: &Hub, to: EventId, limit: usize) -> bool {
        if Gap::of_past(&self.topic, self.start, self.past).is_some() {
            // The window begins with the log that is there now.
            return false;
        }
        let Some(page) = hub.window_page(self.key, self.start.position(), self.is_at_event(), limit) else {
            return false;
        };
        let wanted = page.partition_point(|(id, _)| *id <= to);
        let is_last = wanted < limit;
        self.read_bytes = 0;
        self.items.extend(page.into_iter().take(wanted).map(|(id, frame)| Item::Event(id, frame)));
        match self.items.back().map(Item::position) {
            Some(id) if !is_last => self.start = Start::seen(id),
            _ => self.end_at(to),
        }
        true
    }

    /// Reads the next page behind `start` from the log, and offers it to the window.
    pub(super) async fn fill_from_log(
        &mut self,
        hub: &Hub,
        broker: &Arc<dyn Broker>,
        to: EventId,
        settings: ReplaySettings,
    ) -> Result<(), BrokerError> {
        let replay = Replay::new(broker.clone(), self.topic.clone(), self.start, to, settings);
        let mut replay = replay.knowing(self.past);
        let Some(page) = replay.next().await? else {
            self.end_at(to);
            return Ok(());
        };
        self.take_in(hub, page, to);
        Ok(())
    }

    fn take_in(&mut self, hub: &Hub, page: ReplayPage, to: EventId) {
        let encoded: Vec<Encoded> = page
            .events
            .iter()
            .map(|event| (event.id, Frame::event(Some(event.id), event.event_type.as_ref(), &event.data)))
            .collect();
        hub.tallies().replayed(encoded.len());
        let is_whole = page.gap.is_none() && page.skipped.is_empty();
        hub.offer_page(self.key, is_whole.then(|| self.connects_behind(&page)), &encoded);
        self.read_bytes = encoded.iter().map(|(_, frame)| frame.chunk().len()).sum();
        if let Some(gap) = page.gap {
            self.start = Start::Moment(gap.to);
            self.items.push_back(Item::Gap(Box::new(gap)));
        }
        let last = encoded.last().map(|(id, _)| *id);
        self.doubtful |= page.done && page.last != Some(to) && to != EventId::ZERO;
        self.items.extend(encoded.into_iter().map(|(id, frame)| Item::Event(id, frame)));
        match last {
            _ if page.done => self.end_at(to.max(page.position)),
            Some(id) => self.start = Start::seen(id),
            None if page.last == Some(page.position) => self.start = Start::seen(page.position),
            None => self.start = Start::Moment(page.position),
        }
    }

    /// The place behind which the log certainly lost nothing that the page does not have.
    fn connects_behind(&self, page: &ReplayPage) -> EventId {
        match (self.start, page.events.first()) {
            // Who asks for the earliest is told no gap, so what is gone before it is not known to be nothing.
            (Start::Moment(EventId::ZERO), Some(first)) => first.prev.unwrap_or(first.id.before()),
            (start, _) => start.position(),
        }
    }

    /// Nothing more comes before `to`.
    fn end_at(&mut self, to: EventId) {
        self.start = match self.items.back() {
            Some(Item::Event(id, _)) if *id >= to => Start::seen(*id),
            _ => Start::Moment(to),
        };
    }
}
