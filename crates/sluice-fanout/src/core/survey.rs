//! Surveys: who lags most, found by a walk over the slots that goes on for as many turns as it takes.
//!
//! A walk keeps the worst streams by number and generation only. What is told of them is read at its end, so
//! a stream that has left meanwhile is left out rather than told wrongly.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use sluice_wire::Topic;

use super::Core;
use crate::set::TopicSet;
use crate::slot::{Phase, Slot, SlotKey, Token};

/// A question about the streams of a shard, and how far its answer is.
#[derive(Debug)]
pub struct Survey {
    topic: Option<Topic>,
    limit: usize,
    /// The slot that is next.
    at: usize,
    /// The worst of those that were looked at, the least of them on top.
    worst: BinaryHeap<Reverse<(Badness, u32, u32)>>,
}

/// What makes a stream worth telling of: what it lacks, then for how long it has taken nothing. Among equals
/// the oldest come first.
type Badness = (u64, u32, Reverse<u32>);

/// What a slot tells of its stream.
#[derive(Debug, Clone)]
pub struct StreamReport {
    /// Where it is in its life.
    pub phase: Phase,
    /// Its topics; none when its feed has just been closed.
    pub topics: Option<Arc<TopicSet>>,
    /// Frames that it lacks of those that its ring holds. What a parked stream lacks is known to the log alone.
    pub behind_frames: u64,
    /// The rest of those frames, in bytes as they are written.
    pub behind_bytes: u64,
    /// How long ago it was opened. Seconds.
    pub age_s: u32,
    /// How long ago its socket last took something. Seconds.
    pub idle_s: u32,
    /// When it will be ended for its age or its expiry. Seconds from now; `None` for never.
    pub ends_in_s: Option<u32>,
    /// Whose it is, for counts that are not the engine's.
    pub principal: u32,
    /// Who is at the other end, where the system tells.
    pub peer: Option<std::net::SocketAddr>,
}

impl Survey {
    /// Asks for at most `limit` streams, of `topic` if one is given.
    #[must_use]
    pub fn new(topic: Option<Topic>, limit: usize) -> Self {
        Self { topic, limit, at: 0, worst: BinaryHeap::new() }
    }

    /// Whether nothing is left to tell of what was found.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.worst.is_empty()
    }
}

impl<S> Core<S> {
    /// Looks at the next `count` slots. Whether that was all of them.
    pub fn look_over(&mut self, survey: &mut Survey, count: usize) -> bool {
        let until = self.slots.capacity().min(survey.at.saturating_add(count));
        for index in survey.at..until {
            let Some(slot) = self.slots.key_at(index).and_then(|key| self.slots.get(key)) else { continue };
            let concerned = survey.topic.as_ref().is_none_or(|topic| self.is_on(slot, topic));
            let Some(number) = u32::try_from(index).ok().filter(|_| concerned) else { continue };
            let badness = (self.behind(slot), slot.touched.age_s(self.now_s), Reverse(slot.opened_s));
            survey.worst.push(Reverse((badness, number, slot.generation)));
            if survey.worst.len() > survey.limit {
                survey.worst.pop();
            }
        }
        survey.at = until;
        until == self.slots.capacity()
    }

    /// At most `count` of the streams that a walk has found, in no order, with their sockets; none when all
    /// were told.
    pub fn report<'c>(&'c self, survey: &mut Survey, count: usize) -> Vec<(StreamReport, Option<&'c S>)> {
        let found = std::iter::from_fn(|| survey.worst.pop()).take(count);
        let tokens =
            found.map(|Reverse((_, number, generation))| Token { key: SlotKey::of(number), generation });
        tokens.filter_map(|token| self.slots.resolve(token)).filter_map(|key| self.report_of(key)).collect()
    }

    fn report_of(&self, key: SlotKey) -> Option<(StreamReport, Option<&S>)> {
        let slot = self.slots.get(key)?;
        let feed = self.view.get(slot.feed).map(|entry| &entry.feed);
        let in_ring = matches!(slot.phase, Phase::Live | Phase::Blocked);
        let lacking = feed.filter(|_| in_ring).and_then(|feed| feed.ring().since(slot.sequence));
        let bytes = lacking.map_or(0, |frames| frames.map(|frame| frame.len(slot.framing) as u64).sum());
        let report = StreamReport {
            phase: slot.phase,
            topics: feed.map(|feed| feed.set().clone()),
            behind_frames: self.behind(slot),
            behind_bytes: bytes.saturating_sub(u64::from(slot.offset)),
            age_s: self.now_s.saturating_sub(slot.opened_s),
            idle_s: slot.touched.age_s(self.now_s),
            ends_in_s: slot.ends.at_s().map(|at_s| at_s.saturating_sub(self.now_s)),
            principal: slot.principal,
            peer: None,
        };
        Some((report, slot.socket.as_ref()))
    }

    fn behind(&self, slot: &Slot<S>) -> u64 {
        let next = self.view.get(slot.feed).map(|entry| entry.feed.ring().next());
        match slot.phase {
            Phase::Live | Phase::Blocked => next.unwrap_or(0).saturating_sub(slot.sequence),
            Phase::Parked | Phase::Closing => 0,
        }
    }

    fn is_on(&self, slot: &Slot<S>, topic: &Topic) -> bool {
        let set = self.view.get(slot.feed).map(|entry| entry.feed.set());
        set.is_some_and(|set| set.members().iter().any(|(_, member)| member == topic))
    }
}
