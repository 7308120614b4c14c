//! One feed as one view of it sees it: a set of topics, their positions, and the ring.
//!
//! Invariant: `positions` are those behind the newest frame of the ring, and behind what was skipped since. A frame
//! says which position it moves and from where, so the positions of any older number follow by undoing frames: a
//! slot needs none.

use std::sync::Arc;

use sluice_wire::EventId;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::{Frame, head};

use crate::ring::{Framing, Ring, RingFrame, Step};
use crate::set::TopicSet;

/// Bounds of a ring.
#[derive(Debug, Clone, Copy)]
pub struct RingLimits {
    /// At most so many frames.
    pub events_max: usize,
    /// At most so many bytes, bodies included although they are shared.
    pub bytes_max: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Feed {
    set: Arc<TopicSet>,
    positions: Box<[EventId]>,
    floor_ms: u64,
    /// The floor has risen, or a position moved without a frame, since the streams were last told of it.
    has_news: bool,
    ring: Ring,
}

impl Feed {
    /// A feed that stands at `positions`, one a member of `set`, in its order.
    #[must_use]
    pub fn new(set: Arc<TopicSet>, positions: Box<[EventId]>, floor_ms: u64) -> Self {
        debug_assert_eq!(set.len(), positions.len(), "one position a topic");
        Self { set, positions, floor_ms, has_news: false, ring: Ring::default() }
    }

    /// The topics.
    #[must_use]
    pub fn set(&self) -> &Arc<TopicSet> {
        &self.set
    }

    /// Where each topic stands behind the newest frame.
    #[must_use]
    pub fn positions(&self) -> &[EventId] {
        &self.positions
    }

    /// Nothing with an id up to this moment is missing in any topic. Milliseconds.
    #[must_use]
    pub fn floor_ms(&self) -> u64 {
        self.floor_ms
    }

    /// The frames.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The frames, to trim them.
    pub fn ring_mut(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// Appends the event `id` of the topic at `index`; `frame` is how a feed of that topic alone sends it.
    pub fn event(&mut self, index: usize, id: EventId, frame: &Frame) {
        let step = self.advance_position(index, id);
        let frame = match self.set.names() {
            None => RingFrame::whole(frame.clone(), step),
            Some(names) => {
                let cursor = names.text(self.floor_ms, &self.positions);
                RingFrame::headed(head(&cursor, frame.tail_bytes().len()), frame.clone(), step)
            }
        };
        self.ring.push(frame);
    }

    /// Appends a message that moves no position.
    pub fn control(&mut self, frame: Frame) {
        self.ring.push(RingFrame::whole(frame, None));
    }

    /// Tells `notice` and sets the position of the topic at `index`, the log having lost what lay between. The
    /// cursors of the streams follow at once, so that no client that comes back is told again; and the floor
    /// sinks with the position, so that who joins among the repeats is not taken for having had them.
    pub fn jump(&mut self, index: usize, position: EventId, notice: Frame) {
        self.floor_ms = self.floor_ms.min(position.complete_ms());
        self.ring.push(RingFrame::whole(notice, None));
        let step = self.advance_position(index, position);
        self.push_checkpoint(step);
    }

    /// Moves the topic at `index` to `position` without a frame. What lies between is nothing that a stream could be
    /// given, so streams at an older number need not be told; a checkpoint tells them.
    pub fn skip(&mut self, index: usize, position: EventId) {
        self.positions[index] = position;
        self.has_news = true;
    }

    fn advance_position(&mut self, index: usize, to: EventId) -> Option<Step> {
        let from = std::mem::replace(&mut self.positions[index], to);
        u16::try_from(index).ok().map(|index| Step { index, from, to })
    }

    /// Where each topic stands for a stream that has everything before the frame `sequence` of the ring.
    #[must_use]
    pub fn positions_at(&self, sequence: u64) -> Box<[EventId]> {
        let mut positions = self.positions.clone();
        let behind = self.ring.next().saturating_sub(sequence);
        for frame in self.ring.newest_first().take(usize::try_from(behind).unwrap_or(usize::MAX)) {
            if let Some(step) = frame.step() {
                positions[usize::from(step.index)] = step.from;
            }
        }
        positions
    }

    /// When the first event was published that the ring holds from `sequence` on. Milliseconds.
    #[must_use]
    pub fn first_published_ms(&self, sequence: u64) -> Option<u64> {
        self.ring.since(sequence)?.find_map(RingFrame::step).map(|step| step.to.ms)
    }

    /// Raises the floor. Only a jump lets it sink.
    pub fn raise_floor(&mut self, floor_ms: u64) {
        self.has_news |= floor_ms > self.floor_ms;
        self.floor_ms = self.floor_ms.max(floor_ms);
    }

    /// Whether streams would learn something from a checkpoint.
    #[must_use]
    pub fn has_news_for_checkpoint(&self) -> bool {
        self.has_news
    }

    /// Appends a frame that only moves the cursor, so that the cursors of idle clients do not grow old.
    pub fn checkpoint(&mut self) {
        self.push_checkpoint(None);
    }

    fn push_checkpoint(&mut self, step: Option<Step>) {
        self.has_news = false;
        let checkpoint = self.set.projection().checkpoint(&self.cursor());
        self.ring.push(RingFrame::whole(checkpoint, step));
    }

    /// The cursor of a stream that has everything of this feed.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        cursor_of(&self.set, &self.positions, self.floor_ms)
    }

    /// Whether the ring is over `limits`.
    #[must_use]
    pub fn is_over(&self, limits: RingLimits) -> bool {
        self.ring.len() > limits.events_max || self.ring.bytes() > limits.bytes_max
    }

    /// Where the ring stands for a stream that has the first `offset` bytes of the frame `sequence` and then
    /// takes `written` more.
    #[must_use]
    pub fn advance(&self, sequence: u64, offset: usize, written: usize, framing: Framing) -> (u64, usize) {
        let (mut sequence, mut offset) = (sequence, offset + written);
        while let Some(frame) = self.ring.get(sequence) {
            let len = frame.len(framing);
            if offset < len {
                break;
            }
            offset -= len;
            sequence += 1;
        }
        debug_assert!(offset == 0 || self.ring.get(sequence).is_some(), "wrote more than there was");
        (sequence, offset)
    }
}

/// The cursor for `positions` of `set`: Redis's own id for one topic, the sparse vector for several.
#[must_use]
pub fn cursor_of(set: &TopicSet, positions: &[EventId], floor_ms: u64) -> Cursor {
    match (set.names(), positions) {
        (Some(names), _) => Cursor::Vector(names.cursor(floor_ms, positions)),
        (None, positions) => {
            let last = positions.first().copied().unwrap_or_default();
            let checkpointed = (floor_ms > last.ms).then_some(floor_ms);
            Cursor::Plain { last, floor_ms: checkpointed }
        }
    }
}

#[cfg(test)]
mod tests;
