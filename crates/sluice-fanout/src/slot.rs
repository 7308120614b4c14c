//! Slots: the records of live streams, in pages that never move.
//!
//! A slot is everything that the engine keeps of a stream: 48 bytes, no queue, no timer. The streams of a
//! feed are a list through their slots. Numbers of slots are reused; a slot's generation tells its lives
//! apart, for a poller that still speaks of the last one.

use crate::deadline::Deadline;
use crate::ring::Framing;
use crate::set::FeedId;

/// Slots of one page.
const PAGE_SLOTS: usize = 256;

/// The number of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey(u32);

impl SlotKey {
    /// No slot has a smaller number.
    pub const FIRST: Self = Self(0);

    /// The slot of this number.
    pub(crate) fn of(number: u32) -> Self {
        Self(number)
    }
}

/// A slot's number and generation: what a poller's event names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The slot.
    pub key: SlotKey,
    /// Which life of it.
    pub generation: u32,
}

impl Token {
    /// As a poller carries it.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.key.0)
    }

    /// What [`Token::to_bits`] made.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    pub fn from_bits(bits: u64) -> Self {
        Self { key: SlotKey(bits as u32), generation: (bits >> 32) as u32 }
    }
}

/// A link of a feed's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(u32);

impl Default for Link {
    fn default() -> Self {
        Self::END
    }
}

impl Link {
    pub(crate) const END: Self = Self(u32::MAX);

    pub(crate) fn to(key: SlotKey) -> Self {
        Self(key.0)
    }

    /// The link from a slot to the next of its feed.
    pub(crate) fn after<S>(slots: &Slots<S>, key: SlotKey) -> Self {
        slots.get(key).map_or(Self::END, |slot| slot.next)
    }

    pub(crate) fn get(self) -> Option<SlotKey> {
        (self != Self::END).then_some(SlotKey(self.0))
    }
}

/// In which part of its life a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is in its feed's list and is written to.
    Live,
    /// It takes nothing now; it is in its feed's list, and its number among the blocked.
    Blocked,
    /// The ring has passed it; it waits, outside the list, until it can be written to.
    Parked,
    /// Its last bytes are sent; what its peer still sends is read away.
    Closing,
}

/// A moment of the last eighteen hours, in seconds of the shard's clock. That is far enough back: what takes
/// nothing for longer than a heartbeat or a stall is looked at long before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touched(u16);

impl Touched {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is kept")]
    pub(crate) fn at(now_s: u32) -> Self {
        Self(now_s as u16)
    }

    /// How long ago that was. Seconds.
    pub(crate) fn age_s(self, now_s: u32) -> u32 {
        u32::from(Self::at(now_s).0.wrapping_sub(self.0))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Slot<S> {
    /// The socket; `None` in a free slot.
    pub(crate) socket: Option<S>,
    /// Which life of the slot this is.
    pub(crate) generation: u32,
    /// The feed.
    pub(crate) feed: FeedId,
    /// The stream behind it in its feed's list; in a free slot, the next free one.
    pub(crate) next: Link,
    /// The stream before it in its feed's list.
    pub(crate) previous: Link,
    /// Bytes of the frame `sequence` that the socket has taken.
    pub(crate) offset: u32,
    /// The next frame that the stream is to be sent.
    pub(crate) sequence: u64,
    /// When the stream is to be ended; of one that is closing, when its socket is closed at the latest.
    pub(crate) ends: Deadline,
    /// When the stream was opened. Seconds of the shard's clock.
    pub(crate) opened_s: u32,
    /// Whose stream it is, for counts that are not the engine's.
    pub(crate) principal: u32,
    /// When the socket last took something.
    pub(crate) touched: Touched,
    /// Its part of life.
    pub(crate) phase: Phase,
    /// How its frames are delimited.
    pub(crate) framing: Framing,
}

/// All slots of a shard.
#[derive(Debug)]
pub(crate) struct Slots<S> {
    pages: Vec<Box<[Slot<S>]>>,
    free: Link,
    used: usize,
}

impl<S> Slots<S> {
    /// No slot yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), free: Link::END, used: 0 }
    }

    /// Slots in use.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Whether none is in use.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Slots in use and free.
    #[must_use]
    pub(crate) fn capacity(&self) -> usize {
        self.pages.len() * PAGE_SLOTS
    }

    /// A slot that was free, for `socket`.
    pub(crate) fn insert(&mut self, socket: S, feed: FeedId) -> Token {
        if self.free == Link::END {
            self.add_page();
        }
        let key = SlotKey(self.free.0);
        let slot = &mut self.pages[key.0 as usize / PAGE_SLOTS][key.0 as usize % PAGE_SLOTS];
        let (free, generation) = (slot.next, slot.generation.wrapping_add(1));
        *slot = Slot { socket: Some(socket), generation, feed, ..Slot::free(Link::END) };
        self.free = free;
        self.used += 1;
        Token { key, generation }
    }

    /// Frees a slot; its socket.
    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<S> {
        let free = self.free;
        let slot = self.get_mut(key)?;
        let socket = slot.socket.take();
        *slot = Slot { generation: slot.generation, ..Slot::free(free) };
        self.free = Link(key.0);
        self.used -= 1;
        socket
    }

    /// The slot `key`, if it is in use.
    #[must_use]
    pub(crate) fn get(&self, key: SlotKey) -> Option<&Slot<S>> {
        let index = key.0 as usize;
        self.pages.get(index / PAGE_SLOTS)?.get(index % PAGE_SLOTS).filter(|slot| slot.socket.is_some())
    }

    /// The slot `key`, if it is in use, to change it.
    pub(crate) fn get_mut(&mut self, key: SlotKey) -> Option<&mut Slot<S>> {
        let index = key.0 as usize;
        self.pages
            .get_mut(index / PAGE_SLOTS)?
            .get_mut(index % PAGE_SLOTS)
            .filter(|slot| slot.socket.is_some())
    }

    /// The slot that `token` speaks of, unless it has another life by now.
    #[must_use]
    pub(crate) fn resolve(&self, token: Token) -> Option<SlotKey> {
        self.get(token.key).filter(|slot| slot.generation == token.generation).map(|_| token.key)
    }

    /// The number of the slot at `index` of all slots, if it is in use.
    #[must_use]
    pub(crate) fn key_at(&self, index: usize) -> Option<SlotKey> {
        let key = SlotKey(u32::try_from(index).ok()?);
        self.get(key).map(|_| key)
    }

    fn add_page(&mut self) {
        #[expect(clippy::expect_used, reason = "fewer than 2^32 of them fit in memory")]
        let first = u32::try_from(self.capacity()).expect("fewer than 2^32 streams fit in memory");
        let last = first + u32::try_from(PAGE_SLOTS).unwrap_or(u32::MAX) - 1;
        let page = (first..=last).map(|key| Slot::free(if key == last { self.free } else { Link(key + 1) }));
        self.pages.push(page.collect());
        self.free = Link(first);
    }
}

impl<S> Default for Slots<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Slot<S> {
    fn free(next: Link) -> Self {
        Self {
            socket: None,
            generation: 0,
            feed: FeedId(u32::MAX),
            next,
            previous: Link::END,
            offset: 0,
            sequence: 0,
            ends: Deadline::NEVER,
            opened_s: 0,
            principal: 0,
            touched: Touched::at(0),
            phase: Phase::Live,
            framing: Framing::Chunked,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_slot_is_48_bytes() {
        assert_eq!(size_of::<Slot<OwnedFd>>(), 48);
    }

    #[test]
    fn a_touch_is_remembered_over_the_wrap_of_its_clock() {
        assert_eq!(Touched::at(65_530).age_s(65_545), 15);
        assert_eq!(Touched::at(7).age_s(7), 0);
    }

    #[test]
    fn a_token_of_an_earlier_life_is_not_resolved() {
        let mut slots = Slots::new();
        let first = slots.insert('a', FeedId(0));
        assert_eq!(slots.resolve(Token::from_bits(first.to_bits())), Some(first.key));
        assert_eq!(slots.remove(first.key), Some('a'));
        assert_eq!(slots.resolve(first), None);
        let second = slots.insert('b', FeedId(0));
        assert_eq!(second.key, first.key, "the number is reused");
        assert_eq!(slots.resolve(first), None);
        assert_eq!(slots.remove(first.key), Some('b'));
        assert_eq!(slots.remove(first.key), None);
        assert!(slots.is_empty());
    }
}
