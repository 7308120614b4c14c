//! The topics of a follower and all that happens to them, under the follower's lock. No clock, no await.

mod hear;
mod turns;

use std::collections::VecDeque;

use indexmap::IndexMap;
use sluice_wire::{EventId, Topic};

pub(super) use self::hear::Look;
use super::Sink;
use super::complaints::Complaints;
use super::open::Opening;
use crate::continuity::{Continuity, Pass};
use crate::{LogHead, ReplayPage};

/// Names of forgotten topics that may stand among the wanted in any case.
const WANTED_SPARE: usize = 64;

/// All topics of a node.
#[derive(Default)]
pub(super) struct Topics {
    /// Every topic once, in an order that is good for walking them in turns.
    entries: IndexMap<Topic, Entry>,
    /// Where the walk goes on.
    turn: usize,
    /// Topics that had an event since they were last looked at.
    recent: VecDeque<Topic>,
    /// Topics to be subscribed, with the tickets of their entries; of those that were forgotten meanwhile, about as
    /// many at most.
    wanted: VecDeque<(Topic, u32)>,
    /// Topics whose log is to be read.
    holes: VecDeque<Hole>,
    /// Topics without followers and when they lost the last one, by rising time.
    lingering: VecDeque<(u64, Topic)>,
    next_ticket: u32,
    /// Rises when the connection is lost and when it is back: what was verified before is not verified.
    pub(super) epoch: u32,
    /// Announcements come.
    pub(super) connected: bool,
    /// Announcements come and all topics are verified.
    pub(super) live: bool,
    pub(super) complaints: Complaints,
    pub(super) counts: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) refilling: usize,
    pub(super) events: u64,
    pub(super) holes_found: u64,
    pub(super) holes_refilled: u64,
    pub(super) gaps: u64,
}

/// One topic. Small: a node may have a hundred thousand of them.
struct Entry {
    phase: Phase,
    followers: u32,
    /// The epoch in which the topic was last known to be level with its log.
    verified: u32,
    /// Tells this entry from an earlier one of the same topic, for tasks that come back to it.
    ticket: u32,
    /// Stands in `recent`.
    recent: bool,
}

enum Phase {
    Opening(Box<Opening>),
    Active(Continuity),
}

/// A topic whose log is to be read, by one task at a time. It names the entry: one that was forgotten and
/// followed anew has a hole of its own, and two tasks that read one log would hand its events on twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) topic: Topic,
    pub(super) ticket: u32,
}

impl Topics {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there would be no more than `most` topics with these, each of which is named once.
    pub(super) fn has_room(&self, topics: &[Topic], most: usize) -> bool {
        // Whoever asks for what is followed already is let in however many there are.
        let new = topics.iter().filter(|topic| !self.entries.contains_key(*topic)).count();
        new == 0 || self.entries.len() + new <= most
    }

    /// Adds a follower. `Some` while the topic is being opened, to wait on.
    pub(super) fn follow(&mut self, topic: &Topic, sink: &dyn Sink) -> Option<&mut Opening> {
        if !self.entries.contains_key(topic) {
            self.insert(topic.clone());
        }
        let entry = self.entries.get_mut(topic)?;
        entry.followers += 1;
        match &mut entry.phase {
            Phase::Opening(opening) => Some(opening),
            Phase::Active(continuity) => {
                if entry.followers == 1 {
                    sink.opened(topic, continuity.position());
                }
                None
            }
        }
    }

    fn insert(&mut self, topic: Topic) {
        self.next_ticket = self.next_ticket.wrapping_add(1);
        let entry = Entry {
            phase: Phase::Opening(Box::default()),
            followers: 0,
            verified: 0,
            ticket: self.next_ticket,
            recent: false,
        };
        self.entries.insert(topic.clone(), entry);
        // While the broker is away nobody takes any, and clients may come for one topic after another and go.
        if self.wanted.len() > WANTED_SPARE + 2 * self.entries.len() {
            let entries = &self.entries;
            self.wanted
                .retain(|(topic, ticket)| entries.get(topic).is_some_and(|entry| entry.ticket == *ticket));
        }
        self.wanted.push_back((topic, self.next_ticket));
    }

    pub(super) fn unfollow(&mut self, topic: &Topic, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(topic) else { return };
        entry.followers = entry.followers.saturating_sub(1);
        if entry.followers == 0 {
            self.lingering.push_back((now_ms, topic.clone()));
        }
    }

    /// Forgets the topics that have had no follower since `until_ms` or longer; which they are.
    pub(super) fn sweep(&mut self, until_ms: u64) -> Vec<Topic> {
        let mut swept = Vec::new();
        while self.lingering.front().is_some_and(|(since_ms, _)| *since_ms <= until_ms) {
            let Some((_, topic)) = self.lingering.pop_front() else { break };
            if self.entries.get(&topic).is_some_and(|entry| entry.followers == 0) {
                // One that was followed and left again meanwhile goes with its first linger; that is early,
                // never wrong.
                self.remove(&topic);
                swept.push(topic);
            }
        }
        swept
    }

    fn remove(&mut self, topic: &Topic) {
        let Some(entry) = self.entries.swap_remove(topic) else { return };
        if matches!(&entry.phase, Phase::Active(continuity) if continuity.is_reading()) {
            self.counts.refilling -= 1;
        }
    }

    /// Up to `max` topics to be subscribed.
    pub(super) fn take_wanted(&mut self, max: usize) -> Vec<Topic> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((topic, ticket)) = self.wanted.pop_front() else { break };
            if self.entries.get(&topic).is_some_and(|entry| entry.ticket == ticket) {
                taken.push(topic);
            }
        }
        taken
    }

    /// `topic` is subscribed, and its log stood at `head` after that, in `epoch`. Who is to be told.
    pub(super) fn opened(
        &mut self,
        topic: &Topic,
        head: LogHead,
        epoch: u32,
        sink: &dyn Sink,
    ) -> Option<Opening> {
        let verified = self.connected && epoch == self.epoch;
        let entry = self.entries.get_mut(topic)?;
        let Phase::Opening(opening) = &mut entry.phase else { return None };
        let opening = std::mem::take(&mut **opening);
        let continuity = Continuity::opened(head.last, opening.heard, verified);
        if verified {
            entry.verified = epoch;
        }
        if continuity.is_reading() {
            self.holes.push_back(Hole { topic: topic.clone(), ticket: entry.ticket });
            self.counts.refilling += 1;
            self.counts.holes_found += 1;
        }
        entry.phase = Phase::Active(continuity);
        sink.opened(topic, head.last);
        Some(opening)
    }

    /// The connection is gone: nothing is verified, and no announcement is late any more.
    pub(super) fn lost(&mut self) {
        self.epoch += 1;
        self.connected = false;
        self.live = false;
        for entry in self.entries.values_mut() {
            if let Phase::Active(continuity) = &mut entry.phase {
                continuity.lost();
            }
        }
    }

    /// Every subscription stands; what was read before does not count as verified.
    pub(super) fn restored(&mut self) {
        self.epoch += 1;
        self.connected = true;
    }

    /// The next topic whose log is to be read.
    pub(super) fn take_hole(&mut self) -> Option<Hole> {
        self.holes.pop_front()
    }

    pub(super) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// Puts a topic back whose log could not be read now.
    pub(super) fn put_hole_back(&mut self, hole: Hole) {
        self.holes.push_back(hole);
    }

    /// Begins a pass over the log of a topic, unless it is gone or needs none; where to read from.
    pub(super) fn begin_pass(&mut self, hole: &Hole) -> Option<EventId> {
        let epoch = self.epoch;
        let entry = self.entries.get_mut(&hole.topic).filter(|entry| entry.ticket == hole.ticket)?;
        let Phase::Active(continuity) = &mut entry.phase else { return None };
        continuity.begin_pass(epoch)
    }

    /// Hands a page of a pass on; `None` when the topic was forgotten meanwhile.
    pub(super) fn page(&mut self, hole: &Hole, page: &ReplayPage, sink: &dyn Sink) -> Option<Pass> {
        let epoch = self.epoch;
        let topic = &hole.topic;
        let entry = self.entries.get_mut(topic).filter(|entry| entry.ticket == hole.ticket)?;
        let Phase::Active(continuity) = &mut entry.phase else { return None };
        if let Some(gap) = &page.gap {
            self.counts.gaps += 1;
            sink.gap(gap, gap.to);
        }
        if !page.events.is_empty() {
            self.counts.events += page.events.len() as u64;
            sink.events(topic, &page.events);
        }
        if page.skipped > 0 {
            self.complaints.note(topic.as_str(), page.skipped, "an entry of its log has no readable data");
        }
        let was_reading = continuity.is_reading();
        let pass = continuity.page(page.position, page.done, epoch);
        if pass == Pass::Finished && was_reading {
            entry.verified = epoch;
            self.counts.refilling -= 1;
            self.counts.holes_refilled += 1;
        }
        Some(pass)
    }

    /// A log cannot be read for a reason that will last.
    pub(super) fn abandon(&mut self, hole: &Hole, why: &str) {
        let epoch = self.epoch;
        let Hole { topic, ticket } = hole;
        let Some(entry) = self.entries.get_mut(topic).filter(|entry| entry.ticket == *ticket) else { return };
        let Phase::Active(continuity) = &mut entry.phase else { return };
        if continuity.is_reading() {
            self.counts.refilling -= 1;
        }
        continuity.abandon();
        entry.verified = epoch;
        self.complaints.note(topic.as_str(), 1, why);
    }

    /// The position of an open topic, and whether its log is being read.
    pub(super) fn position(&self, topic: &Topic) -> Option<(EventId, bool)> {
        match &self.entries.get(topic)?.phase {
            Phase::Opening(_) => None,
            Phase::Active(continuity) => Some((continuity.position(), continuity.is_reading())),
        }
    }
}

#[cfg(test)]
mod tests;
