//! What announcements and looks at the logs' ends do to the topics.

use sluice_wire::envelope::LiveMessage;
use sluice_wire::{Event, EventId, Topic};

use super::{Hole, Phase, Topics};
use crate::broker::Announcement;
use crate::continuity::{Heard, Tailed};
use crate::follower::Sink;
use crate::{Page, Tails};

impl Topics {
    /// A message came on the live channel of `name`.
    pub(in crate::follower) fn announced(&mut self, name: &str, message: Announcement, sink: &dyn Sink) {
        let Some((place, topic, entry)) = self.entries.get_full(name) else { return };
        match message {
            Announcement::Message(LiveMessage::Event(event)) => self.heard(place, &event, sink),
            Announcement::Message(LiveMessage::Plain(text)) => {
                if matches!(entry.phase, Phase::Active(_)) {
                    sink.plain(topic, text);
                }
            }
            Announcement::Foreign(why) => self.complaints.note(name, 1, &why),
        }
    }

    fn heard(&mut self, place: usize, event: &Event, sink: &dyn Sink) {
        let Some((topic, entry)) = self.entries.get_index_mut(place) else { return };
        if !entry.recent {
            entry.recent = true;
            self.recent.push_back(topic.clone());
        }
        match &mut entry.phase {
            Phase::Opening(opening) => opening.heard = opening.heard.max(event.id),
            Phase::Active(continuity) => match continuity.announced(event.prev, event.id, self.late_max_ms) {
                Heard::Apply => {
                    // Its writer found the position as the log's end: as good as having looked.
                    entry.verified = true;
                    self.counts.events += 1;
                    sink.events(topic, std::slice::from_ref(event), event.id);
                }
                Heard::Drop => {}
                Heard::Read => {
                    self.counts.holes_found += 1;
                    self.counts.refilling += 1;
                    self.holes.push(Hole { topic: topic.clone(), ticket: entry.ticket });
                }
            },
        }
    }

    /// Begins to read the log of an open topic that does not reach `id`.
    pub(in crate::follower) fn suspect(&mut self, topic: &Topic, id: EventId) {
        let Some(entry) = self.entries.get_mut(topic) else { return };
        let Phase::Active(continuity) = &mut entry.phase else { return };
        let was_reading = continuity.is_reading();
        if continuity.announced(None, id, self.late_max_ms) == Heard::Read && !was_reading {
            self.counts.holes_found += 1;
            self.counts.refilling += 1;
            self.holes.push(Hole { topic: topic.clone(), ticket: entry.ticket });
        }
    }

    /// The ends of logs were looked at, as `look` says. The topics with nothing missing up to `tails.time_ms`.
    pub(in crate::follower) fn looked<'a>(
        &mut self,
        look: Look<'a>,
        tails: &Tails,
        sink: &dyn Sink,
    ) -> Vec<&'a Topic> {
        let Look { asked, .. } = look;
        let mut level = Vec::with_capacity(asked.len());
        let mut behind = tails.behind.iter().peekable();
        let mut unreadable = tails.unreadable.iter().peekable();
        for (index, (topic, position)) in asked.iter().enumerate() {
            let page = behind.next_if(|tail| tail.index == index).map(|tail| &tail.page);
            let unreadable = unreadable.next_if(|other| **other == index).is_some();
            if !self.entries.get(topic).is_some_and(|entry| entry.holds_since(look.epoch)) {
                // The look may have met a server that is gone since, and the topic may be verified by now.
                continue;
            }
            if unreadable {
                self.complaints.note(
                    topic.as_str(),
                    1,
                    "its key holds something that is not a log, or may not be read",
                );
                self.unreadable(topic);
            } else if self.looked_at(topic, *position, page, look, sink) {
                level.push(topic);
            }
        }
        level
    }

    /// Nothing can be read there, so nothing can be missing; it must not hold up the others.
    fn unreadable(&mut self, topic: &Topic) {
        if let Some(entry) = self.entries.get_mut(topic) {
            entry.verified = true;
        }
    }

    fn looked_at(
        &mut self,
        topic: &Topic,
        asked: EventId,
        page: Option<&Page>,
        look: Look<'_>,
        sink: &dyn Sink,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(topic) else { return false };
        let Phase::Active(continuity) = &mut entry.phase else { return false };
        let before = continuity.position();
        let outcome =
            if look.inclusive { continuity.verified(asked, page) } else { continuity.tailed(asked, page) };
        match (outcome, page) {
            (Tailed::UpToDate, _) => {}
            (Tailed::Apply(from), Some(page)) => {
                let events = &page.events[from..];
                self.counts.events += events.len() as u64;
                sink.events(topic, events, continuity.position());
                self.complaints.note_skipped(topic.as_str(), &page.skipped, before);
            }
            (Tailed::Read, _) => {
                self.counts.holes_found += 1;
                self.counts.refilling += 1;
                self.holes.push(Hole { topic: topic.clone(), ticket: entry.ticket });
                return false;
            }
            (Tailed::Apply(_) | Tailed::Busy, _) => return false,
        }
        if look.inclusive || matches!(outcome, Tailed::Apply(_)) {
            entry.verified = true;
        }
        entry.is_verified()
    }
}

/// A look at the ends of logs.
#[derive(Debug, Clone, Copy)]
pub(in crate::follower) struct Look<'a> {
    /// The topics, and the position behind which each was read.
    pub(in crate::follower) asked: &'a [(Topic, EventId)],
    /// The positions themselves were to be found again.
    pub(in crate::follower) inclusive: bool,
    /// The epoch in which the logs were asked.
    pub(in crate::follower) epoch: u32,
}
