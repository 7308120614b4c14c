//! Where a node stands in the log of one topic, and what each thing it hears means for that. Pure: no clock,
//! no socket; `follower` drives it.
//!
//! Invariant: everything up to `position` was handed on once and in order, or was told missing. A message is
//! applied only when it says that it stands directly behind the position; what does not fit is a hole, and
//! the log is read from the position, inclusive, before anything else is applied. While it is read, nothing
//! is buffered: the greatest id heard is remembered, and reading ends when a pass that began after hearing it
//! is through.

use sluice_wire::EventId;

use crate::Page;

/// The position of a node in one log. 40 bytes while it is not being read.
#[derive(Debug)]
pub(crate) struct Continuity {
    position: EventId,
    /// Where reading the log overtook the announcements: those in `(late_from, position]` may still come and
    /// are known. Equal to `position` once announcements and position are level.
    late_from: EventId,
    reading: Option<Box<Reading>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// The greatest id heard of.
    target: EventId,
    /// The greatest id heard of when the present pass began.
    aimed: EventId,
    /// The epoch in which the present pass began; `None` before the first.
    epoch: Option<u32>,
    /// Something was heard since the present pass began that the log as it was read does not explain.
    doubted: bool,
}

/// What an announcement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is the next event: hand it on.
    Apply,
    /// It is known, or will be read from the log.
    Drop,
    /// It shows a hole or a rewind: begin to read the log.
    Read,
}

/// What a look at the log's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tailed {
    /// Nothing is missing.
    UpToDate,
    /// The events from this index on come next, and with them nothing is missing.
    Apply(usize),
    /// Begin to read the log.
    Read,
    /// The log is being read; nothing can be said.
    Busy,
}

/// What is left to do after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Ask for the next page.
    GoOn,
    /// Begin another pass.
    Again,
    /// The position is level with all that was heard.
    Finished,
}

impl Continuity {
    /// A topic that is followed from `position` on, of which ids up to `heard` were announced meanwhile.
    pub(crate) fn opened(position: EventId, heard: EventId, verified: bool) -> Self {
        let behind = heard > position || !verified;
        let reading = behind.then(|| Box::new(Reading::up_to(heard)));
        Self { position, late_from: EventId::ZERO, reading }
    }

    pub(crate) fn position(&self) -> EventId {
        self.position
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// An event `id` was announced whose writer found `prev` as the log's last id. An announcement is not late any more
    /// when its id is `late_max_ms` or more before the position: then it may be of a log that began anew behind an id
    /// of the future. That is no longer than how far a rewind goes back, so whatever is dropped here for being late and
    /// was not is read again when the rewind is found.
    pub(crate) fn announced(&mut self, prev: Option<EventId>, id: EventId, late_max_ms: u64) -> Heard {
        let late = id <= self.position
            && id > self.late_from
            && prev.is_none_or(|prev| prev >= self.late_from)
            && self.position.ms - id.ms < late_max_ms;
        if let Some(reading) = &mut self.reading {
            reading.target = reading.target.max(id);
            reading.doubted |= id <= self.position && !late;
            return Heard::Drop;
        }
        if id > self.position && prev == Some(self.position) {
            self.position = id;
            self.late_from = id;
            return Heard::Apply;
        }
        if late {
            return Heard::Drop;
        }
        self.read(id);
        Heard::Read
    }

    /// Announcements were lost with their connection: none is late any more.
    pub(crate) fn lost(&mut self) {
        self.late_from = self.position;
    }

    /// What stood behind `asked` when the log's end was looked at; `None` for nothing.
    pub(crate) fn tailed(&mut self, asked: EventId, page: Option<&Page>) -> Tailed {
        if self.reading.is_some() || self.position < asked {
            return Tailed::Busy;
        }
        let Some((page, last)) = page.and_then(|page| Some((page, page.last?))) else {
            return Tailed::UpToDate;
        };
        if page.more {
            self.read(last);
            return Tailed::Read;
        }
        if last <= self.position {
            return Tailed::UpToDate;
        }
        let next = page.events.iter().position(|event| event.id > self.position);
        match next {
            Some(index) if page.events[index].prev == Some(self.position) => {
                self.position = last;
                Tailed::Apply(index)
            }
            _ => {
                self.read(last);
                Tailed::Read
            }
        }
    }

    /// As [`Continuity::tailed`], for a page that was read from `asked` inclusive in order to see whether the
    /// log still has it.
    pub(crate) fn verified(&mut self, asked: EventId, page: Option<&Page>) -> Tailed {
        if self.reading.is_some() || self.position < asked {
            return Tailed::Busy;
        }
        let present = match page.and_then(|page| page.first) {
            Some(first) => first == asked,
            None => asked == EventId::ZERO,
        };
        let begins = asked == EventId::ZERO && page.is_some();
        if present || begins {
            return self.tailed(asked, page);
        }
        self.read(EventId::ZERO);
        Tailed::Read
    }

    /// Begins a pass over the log, in `epoch`; the position to read from. `None` when nothing is to be read.
    pub(crate) fn begin_pass(&mut self, epoch: u32) -> Option<EventId> {
        let reading = self.reading.as_mut()?;
        reading.aimed = reading.target;
        reading.epoch = Some(epoch);
        reading.doubted = false;
        Some(self.position)
    }

    /// A page of the pass brought the position to `position`; `done` when it was the last.
    pub(crate) fn page(&mut self, position: EventId, done: bool, epoch: u32) -> Pass {
        if position < self.position {
            // The log was rewound: what was announced of the old one is void.
            self.late_from = position;
        }
        self.position = position;
        let Some(reading) = &self.reading else { return Pass::Finished };
        if !done {
            return Pass::GoOn;
        }
        let level = reading.target <= reading.aimed.max(position);
        if level && !reading.doubted && reading.epoch == Some(epoch) {
            self.reading = None;
            Pass::Finished
        } else {
            Pass::Again
        }
    }

    /// Gives reading up: the log cannot be read.
    pub(crate) fn abandon(&mut self) {
        self.reading = None;
    }

    fn read(&mut self, target: EventId) {
        self.reading = Some(Box::new(Reading::up_to(target)));
    }
}

impl Reading {
    fn up_to(target: EventId) -> Self {
        Self { target, aimed: EventId::ZERO, epoch: None, doubted: false }
    }
}

#[cfg(test)]
mod tests;
