//! The topics of a follower and all that happens to them, under the follower's lock. No clock, no await.

mod entry;
mod hear;
mod turns;

use std::collections::VecDeque;

use indexmap::IndexMap;
use sluice_wire::{EventId, Topic};

use self::entry::{Entry, Phase};
pub(super) use self::entry::{Hole, Wanted};
pub(super) use self::hear::Look;
use super::Sink;
use super::complaints::Complaints;
use super::open::Opening;
use crate::continuity::{Continuity, Pass};
use crate::{LogHead, ReplayPage};

/// All topics of a node.
pub(super) struct Topics {
    /// Every topic once, in an order that is good for walking them in turns.
    entries: IndexMap<Topic, Entry>,
    /// Where the walk goes on.
    turn: usize,
    /// Topics that had an event since they were last looked at.
    recent: VecDeque<Topic>,
    /// Topics to be opened, until they are taken to be.
    wanted: Vec<Wanted>,
    /// Topics whose log is to be read, until they are taken.
    holes: Vec<Hole>,
    /// Topics without followers and when they lost the last one, by rising time.
    lingering: VecDeque<(u64, Topic)>,
    next_ticket: u32,
    /// Rises whenever announcements of topics are lost or come again: what was asked of those before is void.
    pub(super) epoch: u32,
    /// How far before a position an announcement may be that came late, at most; milliseconds.
    pub(super) late_max_ms: u64,
    /// Announcements of all topics come.
    pub(super) whole: bool,
    /// They do, and all topics are verified.
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

impl Default for Topics {
    fn default() -> Self {
        Self {
            entries: IndexMap::default(),
            turn: 0,
            recent: VecDeque::default(),
            wanted: Vec::default(),
            holes: Vec::default(),
            lingering: VecDeque::default(),
            next_ticket: 0,
            epoch: 1,
            late_max_ms: 10_000,
            whole: false,
            live: false,
            complaints: Complaints::default(),
            counts: Counts::default(),
        }
    }
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
                    sink.opened(topic, continuity.position(), EventId::ZERO);
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
            since: 1,
            verified: false,
            ticket: self.next_ticket,
            lost: false,
            recent: false,
        };
        self.entries.insert(topic.clone(), entry);
        self.wanted.push(Wanted { topic, ticket: self.next_ticket });
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

    /// All topics that are to be opened since they were last taken.
    pub(super) fn take_wanted(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.wanted)
    }

    /// Whether it is still to be opened: nobody may have waited for it.
    pub(super) fn is_wanted(&self, wanted: &Wanted) -> bool {
        self.entries.get(&wanted.topic).is_some_and(|entry| entry.ticket == wanted.ticket)
    }

    /// `topic` is subscribed, and its log stood at `head` after that, in `epoch`. Who is to be told.
    pub(super) fn opened(
        &mut self,
        topic: &Topic,
        head: LogHead,
        epoch: u32,
        sink: &dyn Sink,
    ) -> Option<Opening> {
        let entry = self.entries.get_mut(topic)?;
        let verified = !entry.lost && entry.holds_since(epoch);
        let Phase::Opening(opening) = &mut entry.phase else { return None };
        let opening = std::mem::take(&mut **opening);
        let continuity = Continuity::opened(head.last, opening.heard, verified);
        if verified {
            entry.verified = true;
        }
        if continuity.is_reading() {
            self.holes.push(Hole { topic: topic.clone(), ticket: entry.ticket });
            self.counts.refilling += 1;
            self.counts.holes_found += 1;
        }
        entry.phase = Phase::Active(continuity);
        sink.opened(topic, head.last, head.past);
        Some(opening)
    }

    /// Announcements of `topics` do not come: they are not verified, and no announcement is late any more.
    pub(super) fn lost(&mut self, topics: &[Topic]) {
        self.epoch += 1;
        for topic in topics {
            let Some(entry) = self.entries.get_mut(topic) else { continue };
            (entry.since, entry.lost, entry.verified) = (self.epoch, true, false);
            if let Phase::Active(continuity) = &mut entry.phase {
                continuity.lost();
            }
        }
    }

    /// They come again; what was read before does not count as verified.
    pub(super) fn restored(&mut self, topics: &[Topic]) {
        self.epoch += 1;
        for topic in topics {
            if let Some(entry) = self.entries.get_mut(topic) {
                (entry.since, entry.lost, entry.verified) = (self.epoch, false, false);
            }
        }
    }

    /// All topics whose log is to be read since they were last taken.
    pub(super) fn take_holes(&mut self) -> Vec<Hole> {
        std::mem::take(&mut self.holes)
    }

    pub(super) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// Begins a pass over the log of a topic, unless it is gone or needs none; where to read from.
    pub(super) fn begin_pass(&mut self, hole: &Hole) -> Option<EventId> {
        let entry = self.entries.get_mut(&hole.topic).filter(|entry| entry.ticket == hole.ticket)?;
        let Phase::Active(continuity) = &mut entry.phase else { return None };
        continuity.begin_pass(entry.since)
    }

    /// Hands a page of a pass on; `None` when the topic was forgotten meanwhile.
    pub(super) fn page(&mut self, hole: &Hole, page: &ReplayPage, sink: &dyn Sink) -> Option<Pass> {
        let topic = &hole.topic;
        let entry = self.entries.get_mut(topic).filter(|entry| entry.ticket == hole.ticket)?;
        let Phase::Active(continuity) = &mut entry.phase else { return None };
        let mut told = continuity.position();
        if let Some(gap) = &page.gap {
            self.counts.gaps += 1;
            told = gap.to;
            sink.gap(gap, told);
        }
        let was_reading = continuity.is_reading();
        let pass = continuity.page(page.position, page.done, entry.since);
        // The sink stands where this does, whatever moved the position.
        if !page.events.is_empty() || continuity.position() != told {
            self.counts.events += page.events.len() as u64;
            sink.events(topic, &page.events, continuity.position());
        }
        self.complaints.note_skipped(topic.as_str(), &page.skipped, told);
        if pass == Pass::Finished && was_reading {
            entry.verified = true;
            self.counts.refilling -= 1;
            self.counts.holes_refilled += 1;
        }
        Some(pass)
    }

    /// A log cannot be read for a reason that will last.
    pub(super) fn abandon(&mut self, hole: &Hole, why: &str) {
        let Hole { topic, ticket } = hole;
        let Some(entry) = self.entries.get_mut(topic).filter(|entry| entry.ticket == *ticket) else { return };
        let Phase::Active(continuity) = &mut entry.phase else { return };
        if continuity.is_reading() {
            self.counts.refilling -= 1;
        }
        continuity.abandon();
        entry.verified = true;
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
