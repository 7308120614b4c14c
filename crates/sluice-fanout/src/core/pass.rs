//! Passes: a walk over the streams of a feed that writes to each, in one call, all that it lacks.

use super::{Core, Streams};
use crate::feed::Feed;
use crate::ring::{Framing, RingFrame};
use crate::set::FeedId;
use crate::slot::{Link, Phase, SlotKey, Touched};

/// What one call writes at most; a stream that lacks more gets more calls.
const JOINED_BYTES_MAX: usize = 256 << 10;

/// Where a core's bytes go.
pub trait Output<S> {
    /// Offers `bytes` to `socket`, which takes as many as it can without waiting.
    fn send(&mut self, socket: &S, bytes: &[u8]) -> Sent;
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The socket took so many bytes, which may be fewer than offered and are none when it is full.
    Bytes(usize),
    /// The socket is of no more use.
    Gone,
}

/// A completed pass.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// When the newest event that it had to bring out was published, by its id; `None` for other frames.
    pub published_ms: Option<u64>,
    /// Streams that it visited.
    pub streams: u32,
}

/// The frames from one number on as one run of bytes, kept for the next stream that stands there.
#[derive(Debug, Default)]
pub(super) struct Joined {
    of: Option<(FeedId, u64, u64, Framing)>,
    bytes: Vec<u8>,
}

impl Joined {
    /// The frames of `feed` from `sequence` on, as far as one call writes.
    fn of(&mut self, id: FeedId, feed: &Feed, sequence: u64, framing: Framing) -> &[u8] {
        let key = (id, sequence, feed.ring().next(), framing);
        if self.of != Some(key) {
            self.bytes.clear();
            for frame in feed.ring().since(sequence).into_iter().flatten() {
                if !self.bytes.is_empty() && self.bytes.len() + frame.len(framing) > JOINED_BYTES_MAX {
                    break;
                }
                frame.copy_from(framing, 0, &mut self.bytes);
            }
            self.of = Some(key);
        }
        &self.bytes
    }

    /// Gives the memory of an unusually large run back.
    fn forget(&mut self) {
        self.of = None;
        if self.bytes.capacity() > JOINED_BYTES_MAX * 2 {
            self.bytes = Vec::new();
        }
    }
}

/// How a stream came out of being written to.
#[derive(Debug, PartialEq, Eq)]
enum Written {
    All,
    Blocked,
    Gone,
}

impl<S> Core<S> {
    /// Serves dirty feeds in turn with about `budget` writes; `done` is told of each pass that this ends. A
    /// feed that needs more goes to the end of the queue, and small ones share a call.
    pub fn serve(&mut self, budget: usize, out: &mut impl Output<S>, mut done: impl FnMut(Pass)) {
        let mut left = budget;
        self.pressed = false;
        while left > 0 {
            let Some(id) = self.dirty.pop_front() else { break };
            let visited = self.serve_feed(id, left, out, &mut done);
            left = left.saturating_sub(visited.max(1));
        }
        self.joined.forget();
    }

    /// Brings a feed's pass forward by at most `budget` streams; how many were visited.
    fn serve_feed(
        &mut self,
        id: FeedId,
        budget: usize,
        out: &mut impl Output<S>,
        done: &mut impl FnMut(Pass),
    ) -> usize {
        let Some(entry) = self.view.get_mut(id) else { return 0 };
        let Streams { hand, goal, line, .. } = &mut entry.extra;
        if *hand == Link::END {
            *hand = line.first_link();
            *goal = entry.feed.ring().next();
        }
        let mut visited = 0;
        while visited < budget
            && let Some(entry) = self.view.get_mut(id)
            && let Some(key) = entry.extra.hand.get()
        {
            entry.extra.hand = Link::after(&self.slots, key);
            self.write_if_live(key, out);
            visited += 1;
        }
        self.end_of_portion(id, visited, done);
        visited
    }

    /// Queues a feed again whose pass is not complete, or that has new frames already.
    fn end_of_portion(&mut self, id: FeedId, visited: usize, done: &mut impl FnMut(Pass)) {
        let visited = u32::try_from(visited).unwrap_or(u32::MAX);
        let Some(entry) = self.view.get_mut(id) else {
            self.long_passes.remove(&id);
            return;
        };
        if entry.extra.hand != Link::END {
            self.dirty.push_back(id);
            *self.long_passes.entry(id).or_default() += visited;
            return;
        }
        let goal = entry.extra.goal;
        let newest = goal.checked_sub(1).and_then(|last| entry.feed.ring().get(last));
        let published_ms = newest.and_then(RingFrame::step).map(|step| step.to.ms);
        if entry.feed.ring().next() > goal && !entry.extra.line.is_empty() {
            // Frames came while the pass was under way; its first streams lack them.
            self.dirty.push_back(id);
        } else {
            entry.extra.dirty = false;
            self.forget_what_nobody_needs(id);
        }
        self.figures.passes += 1;
        let streams = visited + self.long_passes.remove(&id).unwrap_or(0);
        self.watched.passed(id, goal, streams);
        done(Pass { published_ms, streams });
    }

    /// A socket says that it can be written to again.
    pub fn writable(&mut self, key: SlotKey, out: &mut impl Output<S>) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match slot.phase {
            Phase::Blocked => {
                slot.phase = Phase::Live;
                let (feed, sequence) = (slot.feed, slot.sequence);
                self.blocked.remove(&(feed, sequence, key));
                self.write_if_live(key, out);
                self.joined.forget();
                self.forget_what_nobody_needs(feed);
            }
            Phase::Parked => self.hand_over(key),
            Phase::Live | Phase::Closing => {}
        }
    }

    /// Writes what a live stream lacks; one that does not take it is blocked, one that is gone is let go.
    pub(super) fn write_if_live(&mut self, key: SlotKey, out: &mut impl Output<S>) {
        if self.slots.get(key).is_none_or(|slot| slot.phase != Phase::Live) {
            return;
        }
        match self.write(key, out) {
            Written::All => {}
            Written::Gone => self.hang_up(key, "client"),
            Written::Blocked => {
                self.figures.blocks += 1;
                let Some(slot) = self.slots.get_mut(key) else { return };
                slot.phase = Phase::Blocked;
                let (feed, sequence) = (slot.feed, slot.sequence);
                self.blocked.insert((feed, sequence, key));
            }
        }
    }

    /// Writes what the stream lacks until it lacks nothing or takes nothing.
    fn write(&mut self, key: SlotKey, out: &mut impl Output<S>) -> Written {
        loop {
            let Some(slot) = self.slots.get_mut(key) else { return Written::Gone };
            let (Some(entry), Some(socket)) = (self.view.get(slot.feed), &slot.socket) else {
                return Written::Gone;
            };
            let feed = &entry.feed;
            if slot.sequence >= feed.ring().next() {
                return Written::All;
            }
            let joined = self.joined.of(slot.feed, feed, slot.sequence, slot.framing);
            let offered = &joined[slot.offset as usize..];
            self.figures.writes += 1;
            let Sent::Bytes(taken) = out.send(socket, offered) else { return Written::Gone };
            let full = taken < offered.len();
            if taken > 0 {
                let (sequence, offset) =
                    feed.advance(slot.sequence, slot.offset as usize, taken, slot.framing);
                self.figures.deliveries += sequence - slot.sequence;
                self.figures.bytes += taken as u64;
                slot.touched = Touched::at(self.now_s);
                slot.sequence = sequence;
                slot.offset = u32::try_from(offset).unwrap_or(u32::MAX);
            }
            if full {
                return Written::Blocked;
            }
        }
    }
}
