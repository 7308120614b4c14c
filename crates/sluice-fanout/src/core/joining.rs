//! How streams come into a shard and out of it.

use sluice_wire::EventId;

use super::{Core, Waiting};
use crate::deadline::Deadline;
use crate::ring::{Framing, RingFrame};
use crate::set::FeedId;
use crate::slot::{Phase, Token, Touched};

/// A stream that has everything before a fence, or that waits until it can be written to.
#[derive(Debug)]
pub struct Joining<S> {
    /// Where it is written to.
    pub socket: S,
    /// Its feed.
    pub feed: FeedId,
    /// How its frames are delimited.
    pub framing: Framing,
    /// When it is to be ended.
    pub ends: Deadline,
    /// When it was opened. Seconds of the shard's clock.
    pub opened_s: u32,
    /// Whose it is, for counts that are not the engine's.
    pub principal: u32,
    /// Where it stands.
    pub positions: Box<[EventId]>,
    /// The frame that it has in part, and how much of it.
    pub rest: Option<(RingFrame, u32)>,
}

/// A stream that is to be fed from its log and that can be written to.
#[derive(Debug)]
pub struct Laggard<S> {
    /// The stream.
    pub stream: Joining<S>,
    /// It was in the ring, which has passed it; otherwise it was on its way in.
    pub passed: bool,
    /// When the first event that it lacks was published, if the ring passed it. Milliseconds.
    pub lacks_since_ms: Option<u64>,
}

/// A stream that has left.
#[derive(Debug)]
pub struct Left<S> {
    /// Its socket, to be closed; `None` when its end is still under way.
    pub socket: Option<S>,
    /// Its feed.
    pub feed: FeedId,
    /// Whose it was.
    pub principal: u32,
    /// Why it left.
    pub reason: &'static str,
}

impl<S> Core<S> {
    /// Lets a stream into the ring at the fence that ended before `sequence`, and uses the fence up. `None`:
    /// the ring has moved past it, and the stream is among the lagging.
    pub fn join(&mut self, stream: Joining<S>, sequence: u64) -> Option<Token> {
        let feed = stream.feed;
        debug_assert!(stream.rest.is_none(), "a stream joins at the boundary of a frame");
        let known = self.view.get_mut(feed).map(|entry| {
            entry.extra.pins = entry.extra.pins.saturating_sub(1);
            sequence >= entry.feed.ring().base()
        });
        if known != Some(true) {
            self.lagging.push(Laggard { stream, passed: false, lacks_since_ms: None });
            self.forget_what_nobody_needs(feed);
            return None;
        }
        let token = self.take_slot(stream, Phase::Live, sequence).0;
        let Self { view, slots, dirty, .. } = self;
        let entry = view.get_mut(feed)?;
        entry.extra.line.push(slots, token.key);
        if sequence < entry.feed.ring().next() {
            // A pass under way comes to the end of the list; else one must begin.
            entry.extra.mark_dirty(feed, dirty);
        }
        self.forget_what_nobody_needs(feed);
        Some(token)
    }

    /// Keeps a stream that takes nothing now, until [`Core::writable`] says that it does.
    pub fn park(&mut self, stream: Joining<S>) -> Token {
        let (token, positions, rest) = self.take_slot(stream, Phase::Parked, 0);
        self.waiting.insert(token.key, Waiting { positions, rest, passed: false, lacks_since_ms: None });
        token
    }

    fn take_slot(
        &mut self,
        stream: Joining<S>,
        phase: Phase,
        sequence: u64,
    ) -> (Token, Box<[EventId]>, Option<(RingFrame, u32)>) {
        let Joining { socket, feed, framing, ends, opened_s, principal, positions, rest } = stream;
        let token = self.slots.insert(socket, feed);
        if let Some(slot) = self.slots.get_mut(token.key) {
            slot.framing = framing;
            slot.ends = ends;
            slot.opened_s = opened_s;
            slot.principal = principal;
            slot.sequence = sequence;
            slot.touched = Touched::at(self.now_s);
            slot.phase = phase;
        }
        (token, positions, rest)
    }
}
