//! Counts a request as open until its answer was handed to the connection, so that a process that ends waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Holds a token of `requests` for a request until the body of its answer is dropped.
pub(super) async fn track(State(requests): State<TaskTracker>, request: Request, next: Next) -> Response {
    let token = requests.token();
    next.run(request).await.map(|body| Body::new(TrackedBody { body, _token: token }))
}

/// The body of an answer, with the token of its request.
struct TrackedBody {
    body: Body,
    _token: TaskTrackerToken,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
