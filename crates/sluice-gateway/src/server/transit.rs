//! What is in transit of an answer: handed to hyper, and not yet written to its connection.
//!
//! A client of HTTP/2 can put an answer off for ever, silently and without holding up its connection: it leaves
//! the window of the stream closed. hyper then waits for the window and asks the body for nothing, h2 keeps what
//! it was handed, and neither has a clock. So each part of a body tells when some of it was written and when it
//! was let go of ([`Parcel`]), a body ends when nothing of it is in transit, and whoever runs the task of an answer
//! drops it when nothing has moved for too long ([`attend`]). With hyper's future of a stream h2 forgets what it
//! kept, and resets the stream.
//!
//! A task has a clock only while something is in transit, and it is not set back for what moves: it rings once,
//! looks, and runs on if there is something to wait for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::admission::Standing;

#[cfg(test)]
mod tests;

/// How long a stream that is to be ended has for what is in transit, before it is cut off.
const GRACE: Duration = Duration::from_secs(5);

tokio::task_local! {
    static OF_THIS_TASK: Transit;
}

/// What is in transit of the answers of one task. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Transit(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What was handed out and not let go of.
    parcels: usize,
    /// When something was last written, or handed out with nothing before it.
    moved: Instant,
    /// The body that waits for the last parcel.
    waiting: Option<Waker>,
    term: Option<Term>,
    /// When something was first found in transit behind the term's end.
    over_since: Option<Instant>,
    given_up: Option<GivenUp>,
}

/// What ends a stream that is not asked for anything, and so cannot end itself.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) standing: Standing,
    pub(crate) ends_at: Option<std::time::Instant>,
}

/// Why what was in transit is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// Nothing moved for too long.
    Stalled,
    /// The stream was to be ended, and its client did not take its last words, or what came before them.
    Cut,
}

/// A part of a body in transit.
#[derive(Debug)]
pub(crate) struct Parcel {
    bytes: Bytes,
    transit: Transit,
}

/// What a look at the transit came to.
enum Look {
    Nothing,
    At(Instant),
    GiveUp(GivenUp),
}

/// A task of answers that is attended to.
struct Attended<F> {
    task: Pin<Box<F>>,
    transit: Transit,
    stall_max: Duration,
    /// Runs while something may be in transit.
    clock: Option<Pin<Box<Sleep>>>,
}

/// Runs a task of answers to its end, unless what is in transit of them has to be given up first: when nothing of it
/// moved for `stall_max`, or soon behind the end of a stream.
pub(super) fn attend<F: Future>(
    task: F,
    stall_max: Duration,
) -> impl Future<Output = Result<F::Output, GivenUp>> {
    let transit = Transit::new();
    let attended = Attended { task: Box::pin(task), transit: transit.clone(), stall_max, clock: None };
    OF_THIS_TASK.scope(transit, attended)
}

impl Transit {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            parcels: 0,
            moved: Instant::now(),
            waiting: None,
            term: None,
            over_since: None,
            given_up: None,
        })))
    }

    /// That of the task which is polled; one of its own where nobody attends.
    pub(crate) fn of_this_task() -> Self {
        OF_THIS_TASK.try_with(Clone::clone).unwrap_or_else(|_| Self::new())
    }

    /// Says when the stream that this task serves is to be ended.
    pub(crate) fn ends_with(&self, term: Term) {
        self.state().term = Some(term);
    }

    /// Why the task is dropped, if it is.
    pub(crate) fn given_up(&self) -> Option<GivenUp> {
        self.state().given_up
    }

    /// Takes a part of a body into transit.
    pub(super) fn parcel(&self, bytes: Bytes) -> Parcel {
        let mut state = self.state();
        if state.parcels == 0 {
            state.moved = Instant::now();
        }
        state.parcels += 1;
        Parcel { bytes, transit: self.clone() }
    }

    /// Waits until nothing is in transit.
    pub(super) fn poll_empty(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.parcels == 0 {
            return Poll::Ready(());
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn look(&self, now: Instant, stall_max: Duration) -> Look {
        let mut state = self.state();
        if state.parcels == 0 {
            return Look::Nothing;
        }
        let stalls_at = state.moved + stall_max;
        if now >= stalls_at {
            state.given_up = Some(GivenUp::Stalled);
            return Look::GiveUp(GivenUp::Stalled);
        }
        let Some(term) = &state.term else { return Look::At(stalls_at) };
        let grace = GRACE.min(stall_max);
        if term.is_over(now) {
            let cut_at = *state.over_since.get_or_insert(now) + grace;
            if now >= cut_at {
                state.given_up = Some(GivenUp::Cut);
                return Look::GiveUp(GivenUp::Cut);
            }
        }
        Look::At(stalls_at.min(now + grace))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

impl<F: Future> Future for Attended<F> {
    type Output = Result<F::Output, GivenUp>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.task.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        loop {
            if let Some(running) = &mut self.clock {
                ready!(running.as_mut().poll(context));
            }
            match (self.transit.look(Instant::now(), self.stall_max), &mut self.clock) {
                // It is the task that hands parcels out: nobody need wake it for the first.
                (Look::Nothing, clock) => {
                    *clock = None;
                    return Poll::Pending;
                }
                (Look::At(at), Some(rung)) => rung.as_mut().reset(at),
                (Look::At(at), clock) => *clock = Some(Box::pin(sleep_until(at))),
                (Look::GiveUp(why), _) => return Poll::Ready(Err(why)),
            }
        }
    }
}

impl Term {
    fn is_over(&self, now: Instant) -> bool {
        self.ends_at.is_some_and(|at| now.into_std() >= at) || self.standing.is_sentenced()
    }
}

impl Buf for Parcel {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.transit.state().moved = Instant::now();
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let mut state = self.transit.state();
        state.parcels -= 1;
        let waiting = if state.parcels == 0 { state.waiting.take() } else { None };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}
