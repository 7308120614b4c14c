//! Ends: what a stream lacks, its last words, and then only reading away what its peer still sends.

use sluice_wire::sse::Frame;

use super::{Core, Housekeeping, Left, Output, Sent};
use crate::ring::Framing;
use crate::slot::{Phase, SlotKey};

/// What became of the slot that a drain came to.
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
    /// Ends the stream of slot number `index`, if there is one. One that takes nothing now is left for later,
    /// unless this is the `last` time.
    pub fn dismiss(
        &mut self,
        index: usize,
        last: bool,
        rules: Housekeeping,
        farewell: impl FnOnce() -> Frame,
        out: &mut impl Output<S>,
    ) -> Dismissal {
        let Some(key) = self.slots.key_at(index) else { return Dismissal::Nobody };
        self.write_if_live(key, out);
        let Some(slot) = self.slots.get(key) else { return Dismissal::Nobody };
        match slot.phase {
            Phase::Live => {
                self.end(key, "drained", rules, &farewell(), out).map_or(Dismissal::Cut, Dismissal::Said)
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
        reason: &'static str,
        rules: Housekeeping,
        farewell: &Frame,
        out: &mut impl Output<S>,
    ) -> Option<SlotKey> {
        self.write_if_live(key, out);
        let slot = self.slots.get(key)?;
        let (feed, principal) = (slot.feed, slot.principal);
        let last_words = match slot.framing {
            Framing::Chunked => [farewell.chunk(), b"0\r\n\r\n".as_slice()].concat(),
            Framing::Raw => farewell.payload_bytes().to_vec(),
        };
        let said = slot.phase == Phase::Live
            && out.send(slot.socket.as_ref()?, &last_words) == Sent::Bytes(last_words.len());
        if !said {
            self.hang_up(key, "cut");
            return None;
        }
        self.detach(key);
        let ends_at_s = self.now_s + rules.closing_s;
        let slot = self.slots.get_mut(key)?;
        slot.phase = Phase::Closing;
        slot.ends_at_s = ends_at_s;
        self.closing += 1;
        self.left.push(Left { socket: None, feed, principal, reason });
        self.forget_what_nobody_needs(feed);
        Some(key)
    }
}
