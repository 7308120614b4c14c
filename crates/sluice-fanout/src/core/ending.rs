//! Ends: what a stream lacks, its last words, and then only reading away what its peer still sends.

use sluice_wire::sse::Frame;

use super::{Core, Housekeeping, Left, Output, Sent};
use crate::deadline::{Deadline, End};
use crate::ring::Framing;
use crate::slot::{Phase, SlotKey};

/// What a stream is told at its end.
#[derive(Debug, Clone)]
pub struct LastWords {
    /// Why it ends, for the count.
    pub reason: &'static str,
    /// What it is sent last.
    pub frame: Frame,
}

/// What became of the slot that somebody came to who ends streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// Its stream has its last words; the write side of its socket is to be shut.
    Said(SlotKey),
    /// Its stream could not take them and was cut off.
    Cut,
    /// Its stream takes nothing now and may do so later.
    Waits,
    /// No stream stands there.
    Nobody,
}

impl<S> Core<S> {
    /// Whose stream stands in slot number `index`; `None` when none does, or it is ending already.
    #[must_use]
    pub fn principal_at(&self, index: usize) -> Option<u32> {
        let slot = self.slots.get(self.slots.key_at(index)?)?;
        (slot.phase != Phase::Closing).then_some(slot.principal)
    }

    /// Ends the stream of slot number `index`, if there is one. One that takes nothing now is left for later,
    /// unless this is the `last` time.
    pub fn dismiss(
        &mut self,
        index: usize,
        last: bool,
        rules: Housekeeping,
        words: impl FnOnce(u32) -> LastWords,
        out: &mut impl Output<S>,
    ) -> Dismissal {
        self.slots.key_at(index).map_or(Dismissal::Nobody, |key| self.send_off(key, last, rules, words, out))
    }

    /// Ends the stream of a slot as [`Core::dismiss`] does.
    pub fn send_off(
        &mut self,
        key: SlotKey,
        last: bool,
        rules: Housekeeping,
        words: impl FnOnce(u32) -> LastWords,
        out: &mut impl Output<S>,
    ) -> Dismissal {
        self.write_if_live(key, out);
        let Some(slot) = self.slots.get(key) else { return Dismissal::Nobody };
        match slot.phase {
            Phase::Live => {
                let words = words(slot.principal);
                self.end(key, rules, &words, out).map_or(Dismissal::Cut, Dismissal::Said)
            }
            Phase::Closing => Dismissal::Nobody,
            Phase::Blocked | Phase::Parked if !last => Dismissal::Waits,
            Phase::Blocked | Phase::Parked => {
                self.hang_up(key, "cut");
                Dismissal::Cut
            }
        }
    }

    /// Writes what the stream lacks and the last words; its key, if it took all of it. One that does not is
    /// cut off there, and its client's cursor says where.
    pub(super) fn end(
        &mut self,
        key: SlotKey,
        rules: Housekeeping,
        words: &LastWords,
        out: &mut impl Output<S>,
    ) -> Option<SlotKey> {
        self.write_if_live(key, out);
        let slot = self.slots.get(key)?;
        let (feed, principal) = (slot.feed, slot.principal);
        let frame = &words.frame;
        let last_words = match slot.framing {
            Framing::Chunked => [frame.chunk(), b"0\r\n\r\n".as_slice()].concat(),
            Framing::Raw => frame.payload_bytes().to_vec(),
        };
        let said = slot.phase == Phase::Live
            && out.send(slot.socket.as_ref()?, &last_words) == Sent::Bytes(last_words.len());
        if !said {
            self.hang_up(key, "cut");
            return None;
        }
        self.detach(key);
        let ends = Deadline::at(self.now_s + rules.closing_s, End::Age);
        let slot = self.slots.get_mut(key)?;
        slot.phase = Phase::Closing;
        slot.ends = ends;
        self.closing += 1;
        self.left.push(Left { socket: None, feed, principal, reason: words.reason });
        self.forget_what_nobody_needs(feed);
        Some(key)
    }
}
