//! Housekeeping: heartbeats, ends and stalls, found by walking the slot pages a part at a time. No timer a
//! stream, and nothing that overtakes data.

use bytes::Bytes;
use sluice_wire::sse::Frame;

use super::{Core, LastWords, Output, Sent};
use crate::deadline::End;
use crate::ring::Framing;
use crate::slot::{Phase, SlotKey, Touched};

/// What housekeeping goes by.
#[derive(Debug, Clone, Copy)]
pub struct Housekeeping {
    /// A stream that was silent for so long is sent a heartbeat. Seconds.
    pub heartbeat_s: u32,
    /// A stream that took nothing of what it lacks for so long is given up. Seconds.
    pub stall_s: u32,
    /// How long the peer of an ended stream may take to close its side. Seconds.
    pub closing_s: u32,
}

impl<S> Core<S> {
    /// The time is `now_s`: seconds of the shard's clock.
    pub fn set_time(&mut self, now_s: u32) {
        self.now_s = now_s;
    }

    /// Looks at slot number `index`; `words` says what a stream of a principal that has reached its end is
    /// sent. The slot's key, when its stream was ended and its socket's write side is to be shut.
    pub fn look_at(
        &mut self,
        index: usize,
        rules: Housekeeping,
        words: impl FnOnce(u32, End) -> LastWords,
        out: &mut impl Output<S>,
    ) -> Option<SlotKey> {
        let key = self.slots.key_at(index)?;
        let slot = self.slots.get(key)?;
        let idle_s = slot.touched.age_s(self.now_s);
        let over = slot.ends.has_come(self.now_s);
        match (slot.phase, over) {
            (Phase::Closing, Some(_)) => self.hang_up(key, "closed"),
            (Phase::Blocked | Phase::Parked, _) if idle_s >= rules.stall_s => self.hang_up(key, "stalled"),
            // It takes no last words, and must not be given anything else.
            (Phase::Parked, Some(End::Expiry)) => self.hang_up(key, "expired"),
            (Phase::Closing | Phase::Parked, _) => {}
            (Phase::Live | Phase::Blocked, Some(end)) => {
                let words = words(slot.principal, end);
                return self.end(key, rules, &words, out);
            }
            (Phase::Live, None) if idle_s >= rules.heartbeat_s => self.beat(key, out),
            (Phase::Live | Phase::Blocked, None) => {}
        }
        None
    }

    /// Slots in use and free: what a walk has to look at.
    #[must_use]
    pub fn extent(&self) -> usize {
        self.slots.capacity()
    }

    fn end_of(&self, key: SlotKey) -> u64 {
        let feed = self.slots.get(key).and_then(|slot| self.view.get(slot.feed));
        feed.map_or(u64::MAX, |entry| entry.feed.ring().next())
    }

    /// A checkpoint for the whole feed where its floor has risen, else a comment for this stream.
    fn beat(&mut self, key: SlotKey, out: &mut impl Output<S>) {
        let Some(slot) = self.slots.get(key) else { return };
        let feed = slot.feed;
        if slot.offset > 0 || slot.sequence < self.end_of(key) {
            return;
        }
        self.figures.heartbeats += 1;
        self.view.refresh_floor(feed);
        let Self { view, dirty, .. } = self;
        let Some(entry) = view.get_mut(feed) else { return };
        if entry.feed.has_news_for_checkpoint() {
            entry.feed.checkpoint();
            entry.extra.mark_dirty(feed, dirty);
            return;
        }
        let Some(slot) = self.slots.get_mut(key) else { return };
        let comment = heartbeat(slot.framing);
        let Some(socket) = &slot.socket else { return };
        match out.send(socket, &comment) {
            Sent::Bytes(taken) if taken == comment.len() => slot.touched = Touched::at(self.now_s),
            // Nothing taken: the socket is full of what the client does not read, which a stall ends.
            Sent::Bytes(0) => {
                slot.phase = Phase::Blocked;
                let sequence = slot.sequence;
                self.blocked.insert((feed, sequence, key));
            }
            // A comment cut in two cannot be finished: the slot only remembers parts of frames.
            Sent::Bytes(_) | Sent::Gone => self.hang_up(key, "client"),
        }
    }
}

fn heartbeat(framing: Framing) -> Bytes {
    let comment = Frame::comment("");
    match framing {
        Framing::Chunked => comment.chunk().clone(),
        Framing::Raw => comment.payload(),
    }
}
