//! The pure core of a shard: slots, feeds, passes, lag and housekeeping, without sockets or clocks.
//!
//! What comes in are notices, joins, "this socket can be written to" and the time in seconds; what goes out
//! are calls of [`Output`] and, to be collected, the streams that left and those that must be fed from
//! their logs. `shard.rs` connects it to the world.
//!
//! Invariants, beside those of the crate:
//! - A live slot stands within its feed's ring, a blocked one is among the `blocked` at its number.
//! - `dirty` names each feed at most once, and every feed whose pass is not complete.
//! - A frame leaves a ring only when no slot and no fence needs it, or when those slots are told to go back
//!   to their logs first.

mod ending;
mod figures;
mod joining;
mod lag;
mod pass;
mod scan;
mod survey;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::{BTreeSet, HashMap, VecDeque};

pub use self::ending::{Dismissal, LastWords};
pub use self::figures::Figures;
pub use self::joining::{Joining, Laggard, Left};
use self::pass::Joined;
pub use self::pass::{Output, Pass, Sent};
pub use self::scan::Housekeeping;
pub use self::survey::{StreamReport, Survey};
use self::watched::Watched;
use crate::feed::RingLimits;
use crate::fence::Fence;
use crate::line::Line;
use crate::ring::RingFrame;
use crate::set::FeedId;
use crate::slot::{Link, Phase, SlotKey, Slots, Token};
use crate::view::{Notice, View};
use sluice_wire::EventId;

/// A stream that waits to be writable, outside its ring.
#[derive(Debug)]
struct Waiting {
    positions: Box<[EventId]>,
    /// The frame that it has in part, and how much of it.
    rest: Option<(RingFrame, u32)>,
    /// The ring has passed it; otherwise it was on its way in.
    passed: bool,
    /// When the first event that it lacks was published. Milliseconds.
    lacks_since_ms: Option<u64>,
}

/// What a shard keeps beside each feed.
#[derive(Debug, Default)]
struct Streams {
    line: Line,
    /// The next stream of the pass under way; the end when none is.
    hand: Link,
    /// The ring's end when the pass began: every live stream stands at or behind it when it ends.
    goal: u64,
    /// Whether the feed is among the dirty.
    dirty: bool,
    /// Fences that were taken and not yet used. Should there ever be more than this counts, those beyond find
    /// the ring moved on and go back to their logs.
    pins: u16,
}

/// See the module.
#[derive(Debug)]
pub struct Core<S> {
    view: View<Streams>,
    slots: Slots<S>,
    dirty: VecDeque<FeedId>,
    waiting: HashMap<SlotKey, Waiting>,
    /// Slots whose end is under way.
    closing: usize,
    /// The blocked streams by feed and by where they stand in it.
    blocked: BTreeSet<(FeedId, u64, SlotKey)>,
    /// Streams that passes of more than one turn have visited so far.
    long_passes: HashMap<FeedId, u32>,
    watched: Watched,
    joined: Joined,
    limits: RingLimits,
    pressed: bool,
    now_s: u32,
    lagging: Vec<Laggard<S>>,
    left: Vec<Left<S>>,
    figures: Figures,
}

impl<S> Core<S> {
    /// A core without streams.
    #[must_use]
    pub fn new(limits: RingLimits) -> Self {
        Self {
            view: View::new(),
            slots: Slots::new(),
            closing: 0,
            dirty: VecDeque::new(),
            waiting: HashMap::new(),
            blocked: BTreeSet::new(),
            long_passes: HashMap::new(),
            watched: Watched::default(),
            joined: Joined::default(),
            limits,
            pressed: false,
            now_s: 0,
            lagging: Vec::new(),
            left: Vec::new(),
            figures: Figures::default(),
        }
    }

    /// Takes in what the hub tells.
    pub fn apply(&mut self, notice: Notice) {
        if let Notice::Close { feed } = &notice {
            debug_assert!(
                self.view.get(*feed).is_none_or(|entry| entry.extra.line.is_empty()),
                "a feed is closed behind its last stream"
            );
            self.watched.closed(*feed);
        }
        let witness = notice.witness().cloned();
        let mut over = Vec::new();
        let Self { view, dirty, limits, pressed, watched, .. } = self;
        let half = RingLimits { events_max: limits.events_max / 2, bytes_max: limits.bytes_max / 2 };
        view.apply(notice, |id, entry| {
            if entry.extra.line.is_empty() {
                if entry.extra.pins == 0 {
                    entry.feed.ring_mut().clear();
                }
            } else {
                entry.extra.mark_dirty(id, dirty);
                if let Some(witness) = &witness {
                    watched.begin(id, entry.feed.ring().next() - 1, witness.clone());
                }
                *pressed |= entry.feed.is_over(half);
            }
            if entry.feed.is_over(*limits) {
                over.push(id);
            }
        });
        for feed in over {
            self.shorten(feed);
        }
    }

    /// Where `feed` stands; its ring then keeps what comes behind until the fence is used by
    /// [`Core::join`] or given back by [`Core::unpin`].
    pub fn fence(&mut self, feed: FeedId) -> Option<Fence> {
        self.view.refresh_floor(feed);
        let entry = self.view.get_mut(feed)?;
        entry.extra.pins = entry.extra.pins.saturating_add(1);
        Some(Fence::of(&entry.feed))
    }

    /// Gives a fence back.
    pub fn unpin(&mut self, feed: FeedId) {
        if let Some(entry) = self.view.get_mut(feed) {
            entry.extra.pins = entry.extra.pins.saturating_sub(1);
        }
        self.forget_what_nobody_needs(feed);
    }

    /// Whether some feed has frames that some stream may lack.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether a ring is half full of what its streams lack: they should be served before it takes in more.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Streams that must be fed from their logs, with their sockets.
    pub fn take_lagging(&mut self) -> Vec<Laggard<S>> {
        std::mem::take(&mut self.lagging)
    }

    /// Streams that have left.
    pub fn take_left(&mut self) -> Vec<Left<S>> {
        std::mem::take(&mut self.left)
    }

    /// The socket of a slot.
    #[must_use]
    pub fn socket(&self, key: SlotKey) -> Option<&S> {
        self.slots.get(key)?.socket.as_ref()
    }

    /// The slot that a poller's event speaks of, and its phase.
    #[must_use]
    pub fn resolve(&self, token: Token) -> Option<(SlotKey, Phase)> {
        let key = self.slots.resolve(token)?;
        Some((key, self.slots.get(key)?.phase))
    }

    /// The peer of a stream is gone, or its end is complete.
    pub fn hang_up(&mut self, key: SlotKey, reason: &'static str) {
        let Some(slot) = self.slots.get(key) else { return };
        let (feed, principal, phase) = (slot.feed, slot.principal, slot.phase);
        self.detach(key);
        self.waiting.remove(&key);
        let Some(socket) = self.slots.remove(key) else { return };
        if phase == Phase::Closing {
            // It left when its end began; only the socket is to be closed.
            self.closing -= 1;
            drop(socket);
        } else {
            self.left.push(Left { socket: Some(socket), feed, principal, reason });
        }
        self.forget_what_nobody_needs(feed);
    }

    /// Takes a stream out of its feed's list and out of the blocked. It keeps its slot.
    fn detach(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let (feed, phase, sequence) = (slot.feed, slot.phase, slot.sequence);
        if !matches!(phase, Phase::Live | Phase::Blocked) {
            return;
        }
        if phase == Phase::Blocked {
            self.blocked.remove(&(feed, sequence, key));
        }
        let Some(entry) = self.view.get_mut(feed) else { return };
        if entry.extra.hand == Link::to(key) {
            entry.extra.hand = Link::after(&self.slots, key);
        }
        entry.extra.line.remove(&mut self.slots, key);
    }

    /// The blocked stream of a feed that stands furthest back, and where.
    fn first_blocked(&self, feed: FeedId) -> Option<(u64, SlotKey)> {
        let (of, sequence, key) = self.blocked.range((feed, 0, SlotKey::FIRST)..).next()?;
        (*of == feed).then_some((*sequence, *key))
    }

    /// Empties a ring that no pass, no blocked stream and no fence needs.
    fn forget_what_nobody_needs(&mut self, feed: FeedId) {
        if self.first_blocked(feed).is_some() {
            return;
        }
        let Some(entry) = self.view.get_mut(feed) else { return };
        let needed = entry.extra.dirty && !entry.extra.line.is_empty();
        if !needed && entry.extra.pins == 0 && !entry.feed.ring().is_empty() {
            entry.feed.ring_mut().clear();
        }
    }
}

impl Streams {
    fn mark_dirty(&mut self, id: FeedId, dirty: &mut VecDeque<FeedId>) {
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push_back(id);
        }
    }
}
