//! Work whose panic costs nothing but itself.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What kind of work is contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A request, up to the head of its answer.
    Request,
    /// A stream, or the body of another answer.
    Stream,
    /// A connection with everything on it.
    Connection,
    /// A request of the operations listener.
    Operations,
    /// Upkeep that keeps what it had when it fails, such as a certificate that is read again.
    Upkeep,
}

impl Place {
    /// Every place, in the order of their declaration.
    pub const ALL: [Self; 5] =
        [Self::Request, Self::Stream, Self::Connection, Self::Operations, Self::Upkeep];

    /// The name that metrics and logs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Connection => "connection",
            Self::Operations => "operations",
            Self::Upkeep => "upkeep",
        }
    }
}

/// The work panicked; it has been told and counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

thread_local! {
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

/// The place of the work that this thread does now; `None` where a panic is not contained.
pub(crate) fn place() -> Option<Place> {
    PLACE.try_with(Cell::get).ok().flatten()
}

/// Runs `work` to its end or its panic. The innermost place is the one that a panic belongs to.
///
/// # Errors
/// If `work` panicked. It is not polled again, and is dropped with the returned future.
pub async fn contain<F: Future>(place: Place, work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match contain_call(place, || work.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Does the same for work that is not asynchronous.
///
/// # Errors
/// If `work` panicked.
pub fn contain_call<T>(place: Place, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let _inside = Inside::enter(place);
    // What the work shares with others is behind locks, and those say themselves when a panic held them: `poisoned`.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// The place of this thread while it lasts.
struct Inside {
    before: Option<Place>,
}

impl Inside {
    fn enter(place: Place) -> Self {
        Self { before: PLACE.replace(Some(place)) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        PLACE.set(self.before);
    }
}
