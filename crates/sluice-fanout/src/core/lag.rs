//! Lag: what becomes of streams that a ring cannot wait for.
//!
//! Before a frame is dropped that a stream still needs, the stream is taken out of the ring together with
//! its positions and, if it has a part of a frame, the rest of that one frame. A stream that can be written
//! to is handed over at once, one that cannot waits for that first.

use super::{Core, Joining, Laggard, Waiting};
use crate::line::Line;
use crate::set::FeedId;
use crate::slot::{Phase, SlotKey};

impl<S> Core<S> {
    /// Drops the oldest frames of a ring until it is within its limits.
    pub(super) fn shorten(&mut self, feed: FeedId) {
        loop {
            let Some(entry) = self.view.get_mut(feed) else { return };
            if !entry.feed.is_over(self.limits) {
                return;
            }
            let oldest = entry.feed.ring().base();
            let first_blocked = self.first_blocked(feed);
            if let Some((sequence, key)) = first_blocked.filter(|(sequence, _)| *sequence <= oldest) {
                debug_assert_eq!(sequence, oldest, "no stream stands before its ring");
                self.expel(key);
                continue;
            }
            if let Some(key) = self.unvisited_at(feed, oldest) {
                self.expel(key);
                continue;
            }
            let Some(entry) = self.view.get_mut(feed) else { return };
            entry.feed.ring_mut().evict();
            self.figures.evictions += 1;
        }
    }

    /// A live stream that stands at `sequence`, which only a pass that is due or under way can leave there.
    fn unvisited_at(&self, feed: FeedId, sequence: u64) -> Option<SlotKey> {
        let streams = &self.view.get(feed)?.extra;
        if !streams.dirty {
            return None;
        }
        // Those before the hand have everything up to the goal, and may lack what came since.
        let hand = streams.hand.get().filter(|_| sequence < streams.goal);
        let from = hand.or_else(|| streams.line.first());
        std::iter::successors(from, |key| Line::after(&self.slots, *key)).find(|key| {
            self.slots.get(*key).is_some_and(|slot| slot.phase == Phase::Live && slot.sequence <= sequence)
        })
    }

    /// Takes a stream out of its ring.
    fn expel(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let (sequence, offset, was_blocked) = (slot.sequence, slot.offset, slot.phase == Phase::Blocked);
        let Some(entry) = self.view.get(slot.feed) else { return };
        let rest =
            entry.feed.ring().get(sequence).filter(|_| offset > 0).map(|frame| (frame.clone(), offset));
        let positions = entry.feed.positions_at(sequence + u64::from(rest.is_some()));
        let lacks_since_ms = entry.feed.first_published_ms(sequence);
        self.figures.lagged += 1;
        self.detach(key);
        if let Some(slot) = self.slots.get_mut(key) {
            slot.phase = Phase::Parked;
            slot.offset = 0;
        }
        self.waiting.insert(key, Waiting { positions, rest, passed: true, lacks_since_ms });
        if !was_blocked {
            self.hand_over(key);
        }
    }

    /// Gives a waiting stream away, socket and all.
    pub(super) fn hand_over(&mut self, key: SlotKey) {
        let (Some(slot), Some(waiting)) = (self.slots.get(key), self.waiting.remove(&key)) else {
            return;
        };
        let (feed, framing, ends) = (slot.feed, slot.framing, slot.ends);
        let (opened_s, principal) = (slot.opened_s, slot.principal);
        if let Some(socket) = self.slots.remove(key) {
            let Waiting { positions, rest, passed, lacks_since_ms } = waiting;
            let stream = Joining { socket, feed, framing, ends, opened_s, principal, positions, rest };
            self.lagging.push(Laggard { stream, passed, lacks_since_ms });
        }
    }
}
