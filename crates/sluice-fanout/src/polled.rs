//! Streams that are polled for their frames instead of being written to: the bodies of HTTP/2 and TLS
//! responses, which hyper drives.
//!
//! They share one view under a mutex. A polled stream is a sequence number and a waker; it keeps its own
//! positions, so that it knows where it stands when the ring has passed it. Heartbeats are frames of the
//! ring, pushed to feeds that were silent for long enough: no timer per stream.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use sluice_wire::EventId;
use sluice_wire::sse::Frame;

use crate::feed::{Feed, RingLimits};
use crate::fence::Fence;
use crate::ring::RingFrame;
use crate::set::FeedId;
use crate::view::{Entry, Notice, View};

/// At most so many frames are handed out by one poll, so that a joiner far behind does not hold the lock.
const FRAMES_PER_POLL: usize = 256;

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
}

/// The polled streams of one feed.
#[derive(Debug, Default)]
struct Audience {
    wakers: Slab<Option<Waker>>,
    /// Fences that are held.
    pins: usize,
    /// When the ring last grew; `None` until it first did.
    grown: Option<Instant>,
}

/// A stream that stands in a feed's ring. Dropping it leaves the feed.
#[derive(Debug)]
pub struct PolledStream {
    shared: Arc<Shared>,
    feed: FeedId,
    place: usize,
    sequence: u64,
    positions: Box<[EventId]>,
}

/// A fence of a feed whose ring waits for it.
#[derive(Debug)]
pub struct HeldFence {
    shared: Arc<Shared>,
    feed: FeedId,
    fence: Fence,
}

/// What a poll gives.
#[derive(Debug)]
pub enum Polled {
    /// The next frames, in order.
    Frames(Vec<RingFrame>),
    /// The ring has passed the stream: it must be fed from the log, from [`PolledStream::positions`] on.
    Passed,
    /// The feed or the view was closed.
    Closed,
}

impl PolledView {
    /// A view whose rings have these limits.
    #[must_use]
    pub fn new(limits: RingLimits) -> Self {
        let shared = Shared { view: Mutex::default(), limits, closed: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Takes in what the hub tells, and wakes the streams that it concerns.
    pub fn apply(&self, notice: Notice, now: Instant) {
        let mut wakers = Vec::new();
        self.shared.lock().apply(notice, |_, entry| self.grew(entry, now, &mut wakers));
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
            if entry.extra.wakers.is_empty() || now.duration_since(grown) < interval {
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

    /// Ends every stream, once it has what it lacks.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let mut wakers = Vec::new();
        let mut view = self.shared.lock();
        for feed in view.ids() {
            let Some(entry) = view.get_mut(feed) else { continue };
            wakers.extend(entry.extra.wakers.iter_mut().filter_map(|(_, waker)| waker.take()));
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

    /// A stream that has everything up to `fence`; `None` when the ring no longer holds what comes behind.
    #[must_use]
    pub fn join(&self, feed: FeedId, fence: &Fence) -> Option<PolledStream> {
        let mut view = self.shared.lock();
        let entry = view.get_mut(feed)?;
        if fence.sequence < entry.feed.ring().base() {
            return None;
        }
        let place = entry.extra.wakers.insert(None);
        let positions = fence.positions.clone();
        Some(PolledStream { shared: self.shared.clone(), feed, place, sequence: fence.sequence, positions })
    }

    fn grew(&self, entry: &mut Entry<Audience>, now: Instant, wakers: &mut Vec<Waker>) {
        entry.extra.grown = Some(now);
        entry.extra.forget_what_nobody_needs(&mut entry.feed);
        while entry.feed.is_over(self.shared.limits) {
            entry.feed.ring_mut().evict();
        }
        wakers.extend(entry.extra.wakers.iter_mut().filter_map(|(_, waker)| waker.take()));
    }
}

impl Audience {
    fn forget_what_nobody_needs(&self, feed: &mut Feed) {
        if self.wakers.is_empty() && self.pins == 0 && !feed.ring().is_empty() {
            feed.ring_mut().clear();
        }
    }
}

impl PolledStream {
    /// Where each topic of the set stands for this stream.
    #[must_use]
    pub fn positions(&self) -> &[EventId] {
        &self.positions
    }

    /// The frames that the stream lacks, when there are some; else `context` is woken when there are.
    pub fn poll(&mut self, context: &Context<'_>) -> Poll<Polled> {
        let mut view = self.shared.lock();
        let Some(entry) = view.get_mut(self.feed) else { return Poll::Ready(Polled::Closed) };
        let Some(frames) = entry.feed.ring().since(self.sequence) else {
            return Poll::Ready(Polled::Passed);
        };
        let frames: Vec<_> = frames.take(FRAMES_PER_POLL).cloned().collect();
        if frames.is_empty() && self.shared.closed.load(Ordering::Acquire) {
            return Poll::Ready(Polled::Closed);
        }
        if frames.is_empty() {
            entry.extra.wakers[self.place] = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(view);
        self.sequence += frames.len() as u64;
        for step in frames.iter().filter_map(RingFrame::step) {
            self.positions[usize::from(step.index)] = step.to;
        }
        Poll::Ready(Polled::Frames(frames))
    }
}

impl Drop for PolledStream {
    fn drop(&mut self) {
        if let Some(Entry { feed, extra }) = self.shared.lock().get_mut(self.feed) {
            extra.wakers.try_remove(self.place);
            extra.forget_what_nobody_needs(feed);
        }
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
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
