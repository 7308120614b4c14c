//! One polled stream: a place in the ring of its feed, and the positions that it has reached.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use sluice_wire::EventId;

use super::Shared;
use super::audience::State;
use crate::ring::{Framing, RingFrame};
use crate::set::FeedId;
use crate::view::Entry;

/// At most so many frames are handed out by one poll, so that a joiner far behind does not hold the lock.
const FRAMES_PER_POLL: usize = 256;
/// And about so many bytes, one frame at least: what a stream that takes nothing keeps of its own.
const BYTES_PER_POLL: usize = 64 << 10;

/// A stream that stands in a feed's ring. Dropping it leaves the feed.
#[derive(Debug)]
pub struct PolledStream {
    pub(super) shared: Arc<Shared>,
    pub(super) feed: FeedId,
    pub(super) place: usize,
    pub(super) sequence: u64,
    pub(super) positions: Box<[EventId]>,
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

impl PolledStream {
    /// Where each topic of the set stands for this stream.
    #[must_use]
    pub fn positions(&self) -> &[EventId] {
        &self.positions
    }

    /// The frames that the stream lacks, when there are some; else `context` is woken when there are.
    pub fn poll(&mut self, context: &Context<'_>) -> Poll<Polled> {
        let mut view = self.shared.lock();
        let Some(Entry { feed, extra }) = view.get_mut(self.feed) else { return Poll::Ready(Polled::Closed) };
        let Some(frames) = feed.ring().since(self.sequence) else {
            return Poll::Ready(Polled::Passed);
        };
        let mut bytes = 0;
        let fits = |frame: &&RingFrame| {
            let begun = bytes < BYTES_PER_POLL;
            bytes += frame.len(Framing::Raw);
            begun
        };
        let frames: Vec<_> = frames.take(FRAMES_PER_POLL).take_while(fits).cloned().collect();
        if frames.is_empty() {
            let seat = &mut extra.seats[self.place];
            if self.shared.closed.load(Ordering::Acquire) || matches!(seat.state, State::Ended) {
                return Poll::Ready(Polled::Closed);
            }
            seat.state = State::Asleep(context.waker().clone());
            return Poll::Pending;
        }
        let reached = self.sequence + frames.len() as u64;
        extra.needs.advance(feed.ring_mut(), self.sequence, reached);
        drop(view);
        self.sequence = reached;
        for step in frames.iter().filter_map(RingFrame::step) {
            self.positions[usize::from(step.index)] = step.to;
        }
        Poll::Ready(Polled::Frames(frames))
    }
}

impl Drop for PolledStream {
    fn drop(&mut self) {
        if let Some(Entry { feed, extra }) = self.shared.lock().get_mut(self.feed) {
            if extra.seats.try_remove(self.place).is_some_and(|mut seat| seat.end().0) {
                self.shared.standing.fetch_sub(1, Ordering::Relaxed);
            }
            extra.needs.leave(feed.ring_mut(), self.sequence);
        }
    }
}
