//! The body of a stream that hyper drives: HTTP/2, TLS, and whatever did not leave hyper.
//!
//! While it approaches its ring a task feeds the body through a channel of one part; then the task ends and
//! the body is served from the ring by position, with no queue of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame};
use sluice_fanout::{Framing, Polled, PolledStream, PolledView, RingFrame};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Place;
use crate::approach::{Approach, Gone, Ground, Outlet};
use crate::control;
use crate::hub::FeedHold;
use crate::settings::OnLag;
use crate::subscription::Subscription;

/// What the streams of a node run on.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    pub(crate) ground: Ground,
    pub(crate) tracker: TaskTracker,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SseBody {
    runs: Arc<Runs>,
    place: Place,
    state: State,
}

#[derive(Debug)]
enum State {
    Approaching(mpsc::Receiver<Part>),
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
    pub(crate) fn new(runs: Arc<Runs>, subscription: Subscription, place: Place) -> Self {
        let (parts, received) = mpsc::channel(1);
        let task = {
            let runs = runs.clone();
            async move {
                let mut outlet = ToBody(parts);
                if let Ok(approach) = Approach::begin(&runs.ground, &subscription, &mut outlet).await {
                    join(&runs, approach, outlet).await;
                }
            }
        };
        spawn(&runs, task);
        Self { runs, place, state: State::Approaching(received) }
    }

    /// Sends the stream back to its log, or away.
    fn fell_behind(&mut self, stream: &PolledStream, hold: FeedHold) -> Option<Bytes> {
        match self.runs.ground.streams.on_lag {
            OnLag::CatchUp => {
                let approach = Approach::resume(&self.runs.ground, hold, stream.positions());
                let (parts, received) = mpsc::channel(1);
                let runs = self.runs.clone();
                spawn(&self.runs, async move { join(&runs, approach, ToBody(parts)).await });
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

    /// What the stream is sent next; `None` when the state has changed and is to be asked again.
    fn poll_state(&mut self, context: &mut Context<'_>) -> Poll<Option<Option<Bytes>>> {
        match &mut self.state {
            State::Approaching(parts) => match ready!(parts.poll_recv(context)) {
                Some(Part::Text(text)) => Poll::Ready(Some(Some(text))),
                Some(Part::Joined(stream, hold)) => {
                    self.state = State::Live(stream, hold);
                    Poll::Ready(None)
                }
                None => Poll::Ready(Some(Some(self.say_farewell("stop")))),
            },
            State::Live(stream, _) => match ready!(stream.poll(context)) {
                Polled::Frames(frames) => Poll::Ready(Some(Some(joined(&frames)))),
                Polled::Closed => Poll::Ready(Some(Some(self.say_farewell("stop")))),
                Polled::Passed => {
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
            if let Some(text) = ready!(self.poll_state(context)) {
                return Poll::Ready(text.map(|text| Ok(BodyFrame::data(text))));
            }
        }
    }
}

/// An approach that writes into the body's channel.
struct ToBody(mpsc::Sender<Part>);

impl Outlet for ToBody {
    async fn write(&mut self, frames: Vec<RingFrame>) -> Result<(), Gone> {
        if frames.is_empty() {
            return Ok(());
        }
        self.0.send(Part::Text(joined(&frames))).await.map_err(|_| Gone)
    }
}

async fn join(runs: &Runs, mut approach: Approach, mut outlet: ToBody) {
    let view: &PolledView = runs.ground.hub.polled();
    let feed = approach.hold().feed();
    while let Some(fence) = view.fence(feed) {
        match approach.go_to(&fence, &mut outlet).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(Gone) => return,
        }
        if let Some(stream) = view.join(feed, &fence) {
            // The body being gone, both are given back here.
            let _ = outlet.0.send(Part::Joined(stream, approach.into_hold())).await;
            return;
        }
    }
}

fn spawn(runs: &Runs, approach: impl Future<Output = ()> + Send + 'static) {
    let (stop, tallies) = (runs.stop.clone(), runs.ground.hub.tallies().clone());
    runs.tracker.spawn(async move {
        tallies.catch_up_began();
        stop.run_until_cancelled(approach).await;
        tallies.catch_up_ended();
    });
}

fn joined(frames: &[RingFrame]) -> Bytes {
    let mut text = Vec::with_capacity(frames.iter().map(|frame| frame.len(Framing::Raw)).sum());
    frames.iter().for_each(|frame| frame.copy_from(Framing::Raw, 0, &mut text));
    text.into()
}
