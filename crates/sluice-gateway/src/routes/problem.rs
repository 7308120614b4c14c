//! The one place where errors of this crate become HTTP answers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sluice_access::Denial;
use sluice_broker::BrokerError;
use sluice_wire::{PROBLEM_JSON, Problem};

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    problem: Problem,
    /// What credentials would be welcome: the `WWW-Authenticate` header.
    challenge: Option<&'static str>,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self { problem, challenge: None }
    }
}

impl From<&Denial> for Answer {
    fn from(denial: &Denial) -> Self {
        Self { problem: denial.problem(), challenge: denial.challenge() }
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Self {
        Self::from(&denial)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { problem, challenge } = self;
        let mut response = Response::new(Body::from(problem.to_json()));
        *response.status_mut() =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

pub(super) fn not_acceptable() -> Problem {
    let detail = "this resource is text/event-stream; leave `Accept` out or allow it";
    Problem::new(406, "not-acceptable", "Not acceptable", detail)
}

pub(super) fn broker(error: &BrokerError) -> Problem {
    tracing::warn!(%error, "a log could not be read for a request");
    if error.is_transient() {
        let detail = "the log cannot be read now; try again";
        Problem::new(503, "broker-unavailable", "Broker unavailable", detail).retry_after(1)
    } else {
        Problem::new(
            502,
            "broker-refused",
            "Broker refused",
            "the log of this topic cannot be read; see the node's log",
        )
    }
}

pub(super) async fn not_found() -> Answer {
    // What was asked for is not repeated: it is as long as somebody likes.
    let detail = "there is nothing at this path; streams are at /v1/events?topic=";
    Problem::new(404, "not-found", "Not found", detail).into()
}

pub(super) async fn method_not_allowed() -> Answer {
    let detail = "this path does not take the method; the `allow` header says what it takes";
    Problem::new(405, "method-not-allowed", "Method not allowed", detail).into()
}

/// Clients that read their pages slowly hold as much of them as may be.
pub(super) fn histories_busy() -> Problem {
    let detail = "this node holds as much history for clients that read slowly as it may; try again";
    Problem::new(503, "too-busy", "Too busy", detail).retry_after(1)
}
