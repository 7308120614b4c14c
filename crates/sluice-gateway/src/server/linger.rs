//! What becomes of a request's body that its answer did not wait for: it is read and discarded for a while.
//!
//! A socket that is closed with unread bytes resets its connection, and the reset overtakes the answer: the client sees
//! a broken connection instead of a 401 or a 413. So the rest of the body is read within bounds, during and after the
//! answer; a body that ends within them leaves its connection as good as new. Over HTTP/2 a stream is reset with NO_ERROR
//! behind its answer, and nothing of this is needed. Source: RFC 9112, section 9.6; RFC 9113, section 8.1.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use sluice_failure::{Place, contain};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How much of one body is discarded. Bytes.
const BYTES_MAX: u64 = 8 << 20;
/// How long that may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Bodies of a listener that are being discarded at once; any more are cut off.
const BODIES_MAX: usize = 256;

/// Where the bodies of a listener are discarded. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Linger {
    places: Arc<Semaphore>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A request's body, of which the rest is discarded when it is dropped before its end.
struct Unread {
    /// `None` once there is nothing more to read.
    body: Option<Incoming>,
    /// The client sends nothing before it is told to go on, which reading tells it.
    is_awaited: bool,
    linger: Linger,
}

impl Linger {
    pub(super) fn new(tracker: &TaskTracker, stop: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(BODIES_MAX)), tracker: tracker.clone(), stop }
    }

    /// The body of `request` for the router.
    pub(super) fn body(&self, request: Request<Incoming>) -> Request<Body> {
        if request.body().is_end_stream() || request.version() >= Version::HTTP_2 {
            return request.map(Body::new);
        }
        let is_awaited = request.headers().contains_key(header::EXPECT);
        request.map(|body| Body::new(Unread { body: Some(body), is_awaited, linger: self.clone() }))
    }

    fn discard(&self, body: Incoming) {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let discarding = self.stop.clone().run_until_cancelled_owned(discard(body, place));
        self.tracker.spawn(contain(Place::Connection, discarding));
    }
}

async fn discard(mut body: Incoming, _place: OwnedSemaphorePermit) {
    let read = async {
        let mut bytes = 0;
        while bytes < BYTES_MAX
            && let Some(Ok(frame)) =
                std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    };
    // What is left behind either bound is cut off with its connection.
    let _ = tokio::time::timeout(TIME_MAX, read).await;
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_awaited = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream() && !self.is_awaited);
        if let Some(rest) = rest {
            self.linger.discard(rest);
        }
    }
}
