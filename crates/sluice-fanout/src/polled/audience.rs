//! Who sits in a feed of the polled view: a place for each stream, and its waker while it waits.

use std::task::Waker;
use std::time::Instant;

use slab::Slab;

use super::needs::Needs;

/// The polled streams of one feed.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) seats: Slab<Seat>,
    /// The numbers at which streams and held join points stand.
    pub(super) needs: Needs,
    /// When the ring last grew; `None` until it first did.
    pub(super) grown: Option<Instant>,
}

/// A stream's place in a feed.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) principal: u32,
    pub(super) state: State,
}

/// What a stream is about.
#[derive(Debug)]
pub(super) enum State {
    /// It has something to do, or is about to ask.
    Awake,
    /// It waits for frames.
    Asleep(Waker),
    /// It ends when it has what it lacks.
    Ended,
}

impl Seat {
    pub(super) fn wake(&mut self) -> Option<Waker> {
        match std::mem::replace(&mut self.state, State::Awake) {
            State::Asleep(waker) => Some(waker),
            State::Awake => None,
            State::Ended => {
                self.state = State::Ended;
                None
            }
        }
    }

    /// Tells the stream to end; its waker, if it sleeps. Whether it was not told before.
    pub(super) fn end(&mut self) -> (bool, Option<Waker>) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Asleep(waker) => (true, Some(waker)),
            State::Awake => (true, None),
            State::Ended => (false, None),
        }
    }
}
