//! Streams that are polled for their frames instead of being written to: the bodies of HTTP/2 and TLS
//! responses, which hyper drives.
//!
//! They share one view under a mutex. A polled stream is a sequence number and a waker; it keeps its own
//! positions, so that it knows where it stands when the ring has passed it. A frame leaves its ring as soon as every
//! stream of the feed has taken it. Heartbeats are frames of the ring, pushed to feeds that were silent for long
//! enough: no timer per stream.
//!
//! Notices are queued, and taken in by a task of the owner's: [`PolledView::tell`] costs the same however many streams
//! there are, and a stream is woken once for all notices that were taken in together.

mod audience;
mod needs;
mod queue;
mod stream;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use sluice_wire::sse::Frame;

use self::audience::{Audience, Seat, State};
use self::queue::Queue;
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
    /// Notices that the view has not taken in yet. Locked for a moment only, possibly with the view locked.
    queue: Mutex<Queue>,
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
            queue: Mutex::new(Queue::new(limits)),
            view: Mutex::default(),
            limits,
            closed: AtomicBool::new(false),
            standing: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Queues `notice`. Returns whether the view's task must be woken, to call [`PolledView::take_in`].
    ///
    /// A queue that holds as much as a ring may is taken in at once.
    #[must_use]
    pub fn tell(&self, notice: Notice) -> bool {
        let mut queue = self.shared.queue();
        let must_wake = queue.push(notice);
        let is_full = queue.is_full();
        drop(queue);
        if is_full {
            self.take_in(Instant::now()).into_iter().for_each(Waker::wake);
        }
        must_wake && !is_full
    }

    /// Takes in what was queued. Returns the wakers of the streams that have something to do now.
    #[must_use]
    pub fn take_in(&self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.take_in_locked(&mut self.shared.lock(), now, &mut wakers);
        wakers
    }

    /// [`PolledView::tell`] and [`PolledView::take_in`] at once, for callers that have no task.
    pub fn apply(&self, notice: Notice, now: Instant) {
        let _ = self.shared.queue().push(notice);
        self.take_in(now).into_iter().for_each(Waker::wake);
    }

    /// The bytes of the frames that the rings hold.
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        let view = self.shared.lock();
        let rings = view.ids().into_iter().filter_map(|feed| view.get(feed));
        rings.map(|entry| entry.feed.ring().bytes()).sum()
    }

    /// Notices are taken off the queue with the view locked, so that they keep their order whoever takes them in.
    fn take_in_locked(&self, view: &mut View<Audience>, now: Instant, wakers: &mut Vec<Waker>) {
        let notices = self.shared.queue().take();
        for notice in notices {
            let witness = notice.witness().cloned();
            view.apply(notice, |_, entry| {
                self.grew(entry, now, wakers);
                if let Some(witness) = &witness {
                    witness.reached(entry.extra.seats.len());
                }
            });
        }
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
        self.take_in_locked(&mut view, Instant::now(), &mut wakers);
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
        self.take_in_locked(&mut view, Instant::now(), &mut wakers);
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
        self.take_in_locked(&mut view, Instant::now(), &mut wakers);
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
        let mut wakers = Vec::new();
        let mut view = self.shared.lock();
        // The feed may be in the queue still.
        self.take_in_locked(&mut view, Instant::now(), &mut wakers);
        view.refresh_floor(feed);
        let fence = view.get_mut(feed).map(|entry| {
            let fence = Fence::of(&entry.feed);
            entry.extra.needs.enter(entry.feed.ring(), fence.sequence);
            HeldFence { shared: self.shared.clone(), feed, fence }
        });
        drop(view);
        wakers.into_iter().for_each(Waker::wake);
        fence
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
        entry.extra.needs.enter(entry.feed.ring(), fence.sequence);
        self.shared.standing.fetch_add(1, Ordering::Relaxed);
        let positions = fence.positions.clone();
        Some(PolledStream { shared: self.shared.clone(), feed, place, sequence: fence.sequence, positions })
    }

    fn grew(&self, entry: &mut Entry<Audience>, now: Instant, wakers: &mut Vec<Waker>) {
        entry.extra.grown = Some(now);
        let Entry { feed, extra } = entry;
        extra.needs.drop_spare_frames(feed.ring_mut());
        while feed.is_over(self.shared.limits) {
            feed.ring_mut().evict();
        }
        wakers.extend(extra.seats.iter_mut().filter_map(|(_, seat)| seat.wake()));
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
            extra.needs.leave(feed.ring_mut(), self.fence.sequence);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, View<Audience>> {
        self.view.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}
