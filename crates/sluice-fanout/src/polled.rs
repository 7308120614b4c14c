//! Streams that are polled for their frames instead of being written to: the bodies of HTTP/2 and TLS
//! responses, which hyper drives.
//!
//! They share one view under a mutex. A polled stream is a sequence number and a waker; it keeps its own
//! positions, so that it knows where it stands when the ring has passed it. Heartbeats are frames of the
//! ring, pushed to feeds that were silent for long enough: no timer per stream.

mod audience;
mod stream;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use sluice_wire::sse::Frame;

use self::audience::{Audience, Seat, State};
pub use self::stream::{Polled, PolledStream};
use crate::feed::RingLimits;
use crate::fence::Fence;
use crate::set::FeedId;
use crate::view::{Entry, Notice, View};

/// The view of all polled streams of a node. Clones share it.
#[derive(Debug, Clone)]
pub struct PolledView {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    view: Mutex<View<Audience>>,
    limits: RingLimits,
    closed: AtomicBool,
    /// Streams that were not told to end.
    standing: AtomicUsize,
}

/// A fence of a feed whose ring waits for it.
#[derive(Debug)]
pub struct HeldFence {
    shared: Arc<Shared>,
    feed: FeedId,
    fence: Fence,
}

impl PolledView {
    /// A view whose rings have these limits.
    #[must_use]
    pub fn new(limits: RingLimits) -> Self {
        let shared = Shared {
            view: Mutex::default(),
            limits,
            closed: AtomicBool::new(false),
            standing: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes in what the hub tells, and wakes the streams that it concerns.
    pub fn apply(&self, notice: Notice, now: Instant) {
        let mut wakers = Vec::new();
        let witness = notice.witness().cloned();
        self.shared.lock().apply(notice, |_, entry| {
            self.grew(entry, now, &mut wakers);
            if let Some(witness) = &witness {
                witness.reached(entry.extra.seats.len());
            }
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Sends a heartbeat to every feed that was silent for `interval`: a checkpoint where the floor has
    /// risen, else a comment.
    pub fn beat(&self, now: Instant, interval: Duration) {
        let mut wakers = Vec::new();
        let mut view = self.shared.lock();
        for feed in view.ids() {
            let Some(entry) = view.get_mut(feed) else { continue };
            let grown = *entry.extra.grown.get_or_insert(now);
            if entry.extra.seats.is_empty() || now.duration_since(grown) < interval {
                continue;
            }
            view.refresh_floor(feed);
            let Some(entry) = view.get_mut(feed) else { continue };
            if entry.feed.has_news_for_checkpoint() {
                entry.feed.checkpoint();
            } else {
                entry.feed.control(Frame::comment(""));
            }
            self.grew(entry, now, &mut wakers);
        }
        drop(view);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Streams that were not told to end.
    #[must_use]
    pub fn standing(&self) -> usize {
        self.shared.standing.load(Ordering::Relaxed)
    }

    /// Ends `count` streams, each once it has what it lacks, in a walk over the feeds that goes on at `hand`.
    /// How many were left to be ended.
    pub fn end_some(&self, hand: &mut u32, count: usize) -> usize {
        let mut wakers = Vec::new();
        let mut left = count;
        let mut view = self.shared.lock();
        for _ in 0..=view.extent() {
            if let Some(entry) = view.get_mut(FeedId(*hand)) {
                for (_, seat) in &mut entry.extra.seats {
                    if left == 0 {
                        break;
                    }
                    let (ends_now, waker) = seat.end();
                    left -= usize::from(ends_now);
                    wakers.extend(waker);
                }
            }
            if left == 0 {
                break;
            }
            *hand = if (*hand as usize) < view.extent() { *hand + 1 } else { 0 };
        }
        self.shared.standing.fetch_sub(count - left, Ordering::Relaxed);
        drop(view);
        wakers.into_iter().for_each(Waker::wake);
        left
    }

    /// Ends the streams of principals that are `sentenced`, each once it has what it lacks, in a walk over the
    /// feeds that begins at `hand` and looks at about `count` streams. Where it is to go on; `None` when it is
    /// through. Nobody is asked about principal 0.
    #[must_use]
    pub fn sweep(&self, hand: u32, count: usize, sentenced: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut wakers, mut ended, mut looks, mut at) = (Vec::new(), 0, 0, hand);
        let mut view = self.shared.lock();
        let extent = view.extent();
        while (at as usize) < extent && looks < count {
            if let Some(entry) = view.get_mut(FeedId(at)) {
                looks += entry.extra.seats.len();
                for (_, seat) in &mut entry.extra.seats {
                    if seat.principal != 0 && sentenced(seat.principal) {
                        let (ends_now, waker) = seat.end();
                        ended += usize::from(ends_now);
                        wakers.extend(waker);
                    }
                }
            }
            (at, looks) = (at + 1, looks + 1);
        }
        self.shared.standing.fetch_sub(ended, Ordering::Relaxed);
        drop(view);
        wakers.into_iter().for_each(Waker::wake);
        ((at as usize) < extent).then_some(at)
    }

    /// Ends every stream, once it has what it lacks.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let mut wakers = Vec::new();
        let mut view = self.shared.lock();
        for feed in view.ids() {
            let Some(entry) = view.get_mut(feed) else { continue };
            wakers.extend(entry.extra.seats.iter_mut().filter_map(|(_, seat)| seat.wake()));
        }
        drop(view);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Where `feed` stands now; `None` when it is closed. The ring keeps what comes behind as long as the
    /// fence is held.
    #[must_use]
    pub fn fence(&self, feed: FeedId) -> Option<HeldFence> {
        let mut view = self.shared.lock();
        view.refresh_floor(feed);
        let entry = view.get_mut(feed)?;
        entry.extra.pins += 1;
        Some(HeldFence { shared: self.shared.clone(), feed, fence: Fence::of(&entry.feed) })
    }

    /// A stream of `principal` that has everything up to `fence`; `None` when the ring no longer holds what comes behind.
    #[must_use]
    pub fn join(&self, feed: FeedId, fence: &Fence, principal: u32) -> Option<PolledStream> {
        let mut view = self.shared.lock();
        let entry = view.get_mut(feed)?;
        if fence.sequence < entry.feed.ring().base() {
            return None;
        }
        let place = entry.extra.seats.insert(Seat { principal, state: State::Awake });
        self.shared.standing.fetch_add(1, Ordering::Relaxed);
        let positions = fence.positions.clone();
        Some(PolledStream { shared: self.shared.clone(), feed, place, sequence: fence.sequence, positions })
    }

    fn grew(&self, entry: &mut Entry<Audience>, now: Instant, wakers: &mut Vec<Waker>) {
        entry.extra.grown = Some(now);
        entry.extra.forget_what_nobody_needs(&mut entry.feed);
        while entry.feed.is_over(self.shared.limits) {
            entry.feed.ring_mut().evict();
        }
        wakers.extend(entry.extra.seats.iter_mut().filter_map(|(_, seat)| seat.wake()));
    }
}

impl Deref for HeldFence {
    type Target = Fence;

    fn deref(&self) -> &Fence {
        &self.fence
    }
}

impl Drop for HeldFence {
    fn drop(&mut self) {
        if let Some(Entry { feed, extra }) = self.shared.lock().get_mut(self.feed) {
            extra.pins -= 1;
            extra.forget_what_nobody_needs(feed);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, View<Audience>> {
        self.view.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}
