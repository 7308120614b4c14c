//! The one place where errors of this crate become HTTP answers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sluice_access::{Denial, RefusedRequest};
use sluice_broker::BrokerError;
use sluice_wire::{PROBLEM_JSON, Problem};

use super::Serves;

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    problem: Problem,
    /// Where it is about credentials. Boxed, so that every result with an answer in it stays small.
    credentials: Option<Box<Credentials>>,
}

#[derive(Debug)]
struct Credentials {
    /// What would be welcome: the `WWW-Authenticate` header.
    challenge: Option<&'static str>,
    /// The reason as metrics and the log show it.
    reason: &'static str,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self { problem, credentials: None }
    }
}

impl From<&Denial> for Answer {
    fn from(denial: &Denial) -> Self {
        let credentials = Credentials { challenge: denial.challenge(), reason: denial.reason() };
        Self { problem: denial.problem(), credentials: Some(Box::new(credentials)) }
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Self {
        Self::from(&denial)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { problem, credentials } = self;
        let reason = credentials.as_ref().map_or(problem.slug, |credentials| credentials.reason);
        let mut response = Response::new(Body::from(problem.to_json()));
        *response.status_mut() =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(RefusedRequest::new(reason));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = credentials.and_then(|credentials| credentials.challenge) {
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
    if error.is_transient() {
        // That a log cannot be read is logged by whoever reads it, and the refusal by `refusals.rs`.
        tracing::debug!(%error, "cannot read a log for a request");
        let detail = "the log cannot be read now; try again";
        Problem::new(503, "broker-unavailable", "Broker unavailable", detail).retry_after(1)
    } else {
        tracing::warn!(%error, "cannot read a log for a request");
        Problem::new(
            502,
            "broker-refused",
            "Broker refused",
            "the log of this topic cannot be read; see the node's log",
        )
    }
}

const STREAMS: &str = "GET /v1/events?topic=<topic> opens a stream";
const PUBLISHING: &str = "POST /v1/topics/<topic>/events publishes an event";

/// What is served here, and where the rest is.
fn served(serves: Serves) -> String {
    match serves {
        Serves::Streams => format!(
            "this is a gateway: {STREAMS}. Events are published to a publisher (`sluice publisher`, port 8081 unless \
             publisher.addr says otherwise), where {PUBLISHING}"
        ),
        Serves::Publishing => format!(
            "this is a publisher: {PUBLISHING}. Streams are served by a gateway (`sluice gateway`, port 8080 unless \
             listen.addr says otherwise), where {STREAMS}"
        ),
        Serves::Both => format!("{STREAMS}, and {PUBLISHING}"),
    }
}

pub(super) fn not_found(serves: Serves) -> Answer {
    // What was asked for is not repeated: it is as long as somebody likes.
    let detail = format!("there is nothing at this path; {}", served(serves));
    Problem::new(404, "not-found", "Not found", detail).into()
}

pub(super) fn method_not_allowed(serves: Serves) -> Answer {
    let detail = format!(
        "this path does not take the method; the `allow` header says what it takes; {}",
        served(serves)
    );
    Problem::new(405, "method-not-allowed", "Method not allowed", detail).into()
}

/// Clients that read their pages slowly hold as much of them as may be.
pub(super) fn histories_busy() -> Problem {
    let detail = "this node holds as much history for clients that read slowly as it may; try again";
    Problem::new(503, "too-busy", "Too busy", detail).retry_after(1)
}
