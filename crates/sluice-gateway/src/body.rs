//! The body of a stream that hyper drives: HTTP/2, TLS, and whatever did not leave hyper.
//!
//! While it approaches its ring a task feeds the body whenever hyper asks for more; then the task ends and the
//! body is served from the ring by position, with no queue of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame};
use opentelemetry::context::FutureExt as _;
use sluice_fanout::{End, Framing, Polled, PolledStream, PolledView, RingFrame};
use sluice_wire::EventId;
use tokio::time::{Sleep, sleep_until};

use crate::admission::{Place, Standing};
use crate::approach::{Approach, Halt, Outlet};
use crate::beginning::Beginning;
use crate::control;
use crate::ends::Ends;
use crate::hub::FeedHold;
use crate::hub::feeds::ViewKey;
use crate::runs::Runs;
use crate::server::{Doing, GivenUp, Term, Transit};
use crate::settings::OnLag;
use crate::subscription::Subscription;
use crate::supply::{Supplied, Supplier, supply};
use crate::trace;

/// What is handed to hyper at once: it holds that for as long as its client takes nothing. Bytes.
const PART_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct SseBody {
    runs: Arc<Runs>,
    place: Place,
    state: State,
    /// When it is to be ended, and what wakes it then: hyper keeps kilobytes for such a stream anyway.
    ends: Option<(End, Pin<Box<Sleep>>)>,
    carrier: Option<Carrier>,
}

/// What a body shares with the connection that carries it.
#[derive(Debug)]
pub(crate) struct Carrier {
    /// The connection does not rest while the body lasts.
    pub(crate) doing: Doing,
    /// What was asked for of the body and is not written yet.
    pub(crate) transit: Transit,
}

#[derive(Debug)]
enum State {
    Approaching(Supplied<Part>),
    Live(PolledStream, FeedHold),
    Ended,
}

#[derive(Debug)]
enum Part {
    Text(Bytes),
    Joined(PolledStream, FeedHold),
}

impl SseBody {
    /// The body of a stream that was admitted.
    pub(crate) fn new(
        runs: Arc<Runs>,
        subscription: Subscription,
        beginning: Beginning,
        place: Place,
        ends: Option<Ends>,
    ) -> Self {
        let (parts, received) = supply();
        let Beginning { context, place: starting_place } = beginning;
        let task = {
            let (runs, standing) = (runs.clone(), place.standing());
            async move {
                let mut outlet = ToBody { parts, standing };
                let view = ViewKey::Polled;
                let begun =
                    Approach::begin(&runs.ground, view, &subscription, starting_place, &mut outlet).await;
                if let Ok(approach) = begun {
                    join(&runs, approach, outlet).await;
                }
            }
        };
        runs.spawn(task.with_context(context));
        let ends = ends.map(|Ends { at, end }| (end, Box::pin(sleep_until(at.into()))));
        Self { runs, place, state: State::Approaching(received), ends, carrier: None }
    }

    /// The same on a connection.
    pub(crate) fn carried_by(mut self, carrier: Carrier) -> Self {
        let standing = self.place.standing();
        let ends_at = self.ends.as_ref().map(|(_, sleep)| sleep.deadline().into_std());
        if standing.is_somebodys() || ends_at.is_some() {
            carrier.transit.ends_with(Term { standing, ends_at });
        }
        self.carrier = Some(carrier);
        self
    }

    /// Sends the stream back to its log, or away.
    fn fell_behind(&mut self, stream: &PolledStream, hold: FeedHold) -> Option<Bytes> {
        self.runs.ground.hub.tallies().lagged(None);
        match self.runs.ground.streams.on_lag {
            OnLag::CatchUp => {
                let approach = Approach::resume(&self.runs.ground, hold, stream.positions());
                let (parts, received) = supply();
                let (runs, standing) = (self.runs.clone(), self.place.standing());
                self.runs.spawn(async move { join(&runs, approach, ToBody { parts, standing }).await });
                self.state = State::Approaching(received);
                None
            }
            OnLag::Disconnect => Some(self.say_farewell("lag")),
        }
    }

    fn say_farewell(&mut self, reason: &'static str) -> Bytes {
        self.state = State::Ended;
        self.place.ends_by(reason);
        control::farewell(self.runs.ground.retry()).payload()
    }

    /// What the stream is told when it is to be ended.
    fn poll_last_words(&mut self, context: &mut Context<'_>) -> Option<Bytes> {
        if matches!(self.state, State::Ended) {
            return None;
        }
        if self.place.standing().is_sentenced() {
            return Some(self.say_why_ended());
        }
        let (end, sleep) = self.ends.as_mut()?;
        let Poll::Ready(()) = sleep.as_mut().poll(context) else { return None };
        let words = control::last_words(*end, self.runs.ground.retry());
        self.state = State::Ended;
        self.place.ends_by(words.reason);
        Some(words.frame.payload())
    }

    /// What the stream is told that its node ends.
    fn say_why_ended(&mut self) -> Bytes {
        let Some(sentence) = self.place.standing().sentence() else {
            return self.say_farewell(if self.runs.admission.is_draining() { "drained" } else { "stop" });
        };
        self.state = State::Ended;
        self.place.ends_by(sentence.reason);
        sentence.frame(self.runs.ground.retry()).payload()
    }

    /// What the stream is sent next; `None` when the state has changed and is to be asked again.
    fn poll_state(&mut self, context: &mut Context<'_>) -> Poll<Option<Option<Bytes>>> {
        match &mut self.state {
            State::Approaching(parts) => match ready!(parts.poll_take(context)) {
                Some(Part::Text(text)) => Poll::Ready(Some(Some(text))),
                Some(Part::Joined(stream, hold)) => {
                    self.place.arrived();
                    self.state = State::Live(stream, hold);
                    Poll::Ready(None)
                }
                None => Poll::Ready(Some(Some(self.say_why_ended()))),
            },
            State::Live(stream, _) => match stream.poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Polled::Frames(frames)) => Poll::Ready(Some(Some(joined(&frames)))),
                Poll::Ready(Polled::Closed) => Poll::Ready(Some(Some(self.say_why_ended()))),
                Poll::Ready(Polled::Passed) => {
                    let State::Live(stream, hold) = std::mem::replace(&mut self.state, State::Ended) else {
                        return Poll::Ready(Some(None));
                    };
                    Poll::Ready(self.fell_behind(&stream, hold).map(Some))
                }
            },
            State::Ended => Poll::Ready(Some(None)),
        }
    }
}

impl Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        loop {
            // Whole frames are handed out, so this is the boundary of one. What the stream lacks is not waited for:
            // one that always lacks something would never end. And whoever has just come to its ring may have been
            // sentenced before a sweep could see it there.
            if let Some(words) = self.poll_last_words(context) {
                return Poll::Ready(Some(Ok(BodyFrame::data(words))));
            }
            if let Some(text) = ready!(self.poll_state(context)) {
                return Poll::Ready(text.map(|text| Ok(BodyFrame::data(text))));
            }
        }
    }
}

impl Drop for SseBody {
    fn drop(&mut self) {
        let Some(Carrier { doing, transit }) = &self.carrier else { return };
        let given_up = transit.given_up().or(doing.is_stalled().then_some(GivenUp::Stalled));
        let reason = match (given_up, &self.state) {
            (None, _) => return,
            (Some(GivenUp::Stalled), State::Approaching(_) | State::Live(..)) => "stalled",
            // It did not take its last words, or what came before them.
            (Some(_), _) => "cut",
        };
        self.place.ends_by(reason);
    }
}

/// An approach that writes into the body.
struct ToBody {
    parts: Supplier<Part>,
    standing: Standing,
}

impl Outlet for ToBody {
    const PAGE_BYTES: usize = PART_BYTES;

    async fn ready(&mut self) -> Result<(), Halt> {
        if self.parts.wanted().await { Ok(()) } else { Err(Halt::Gone) }
    }

    async fn write(&mut self, frames: Vec<RingFrame>) -> Result<(), Halt> {
        if frames.is_empty() {
            return Ok(());
        }
        if self.standing.is_sentenced() {
            return Err(Halt::Sentenced);
        }
        if self.parts.give(Part::Text(joined(&frames))).await { Ok(()) } else { Err(Halt::Gone) }
    }

    /// What is written is taken whole, so nothing is left in the middle.
    fn stands_at(&mut self, _: Vec<EventId>) {}
}

async fn join(runs: &Runs, mut approach: Approach, mut outlet: ToBody) {
    let view: &PolledView = runs.ground.hub.polled();
    let feed = approach.hold().feed();
    while let Some(fence) = view.fence(feed) {
        match approach.go_to(&fence, &mut outlet).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(Halt::Gone | Halt::Full | Halt::Sentenced) => return,
        }
        if let Some(stream) = view.join(feed, &fence, outlet.standing.principal()) {
            trace::arrived("joined");
            // Before the hold is given away: the feed may end with it, and its number go to another.
            drop(fence);
            // The body being gone, both are given back here.
            let _ = outlet.parts.give(Part::Joined(stream, approach.into_hold())).await;
            return;
        }
    }
}

fn joined(frames: &[RingFrame]) -> Bytes {
    let mut text = Vec::with_capacity(frames.iter().map(|frame| frame.len(Framing::Raw)).sum());
    frames.iter().for_each(|frame| frame.copy_from(Framing::Raw, 0, &mut text));
    text.into()
}
