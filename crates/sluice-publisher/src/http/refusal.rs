//! Every way in which the service says no, in one place: problem details with a stable type each and a text
//! that says what to do.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use opentelemetry::KeyValue;
use sluice_access::{Denial, RefusedRequest};
use sluice_wire::{EventTypeError, PROBLEM_JSON, Problem, TopicPathError};

use super::limiter::NoPlace;
use super::pace::Early;
use crate::{PublishError, trace};

/// A refused request, or a refused line of one.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    /// Boxed, so that every result with a refusal in it stays small.
    cause: Option<Box<Cause>>,
}

/// What lies behind a refusal.
#[derive(Debug)]
enum Cause {
    Publisher(PublishError),
    Access(Denial),
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { problem: Problem::new(status.as_u16(), slug, title, detail), cause: None }
    }

    /// The same, worth trying again after `wait`.
    pub(super) fn retry_after(mut self, wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.problem = self.problem.retry_after(seconds.max(1));
        self
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(super) fn into_problem(self) -> Problem {
        self.problem
    }

    pub(super) fn status(&self) -> u16 {
        self.problem.status
    }

    /// The publisher's error behind it.
    pub(super) fn cause(&self) -> Option<&PublishError> {
        match self.cause.as_deref() {
            Some(Cause::Publisher(error)) => Some(error),
            Some(Cause::Access(_)) | None => None,
        }
    }

    pub(super) fn topic(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-topic", "The topic is not valid", detail)
    }

    /// The type is none that an event may have.
    pub(super) fn event_type(error: &EventTypeError) -> Self {
        let detail = error.to_string();
        match error {
            EventTypeError::Reserved => {
                Self::new(StatusCode::BAD_REQUEST, "reserved-type", "The event type is reserved", detail)
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "invalid-type", "The event type is not valid", detail),
        }
    }

    pub(super) fn key(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-key", "The idempotency key is not valid", detail)
    }

    pub(super) fn wait_replicas(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid-wait-replicas",
            "The number of replicas to wait for is not valid",
            detail,
        )
    }

    pub(super) fn query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-query", "The query is not valid", detail)
    }

    pub(super) fn parameter(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unknown-parameter", "Unknown query parameter", detail)
    }

    pub(super) fn body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-body", "The body is not valid", detail)
    }

    pub(super) fn body_broken() -> Self {
        let detail =
            "the body broke off before its end; what was complete before this point has its own result";
        Self::new(StatusCode::BAD_REQUEST, "incomplete-body", "The body is incomplete", detail)
    }

    pub(super) fn body_idle(seconds: u64) -> Self {
        let detail = format!(
            "no part of the body came for {seconds} seconds (publisher.body_idle_ms); send it without longer pauses, \
             or, as lines, an empty line to keep the request open"
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body took too long", detail)
    }

    pub(super) fn body_slow(bytes_per_second: usize) -> Self {
        let detail = format!(
            "the body came slower than {bytes_per_second} bytes a second; nothing was published. Send events that come \
             slowly as lines to POST /v1/events"
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body took too long", detail)
    }

    /// There is no place for another request.
    pub(super) fn no_place(why: NoPlace) -> Self {
        let mut refusal = match why {
            NoPlace::All => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too-busy",
                "Too many requests",
                "as many requests are open as this publisher takes; nothing was published, try again later",
            ),
            NoPlace::Share => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "sender-requests",
                "Too many requests of one sender",
                "this sender has as many requests open as it may have at once; nothing was published, try again when \
                 one of them has ended",
            ),
        };
        refusal.problem = refusal.problem.retry_after(1);
        refusal
    }

    pub(super) fn too_large(what: &str, bytes_max: usize) -> Self {
        let detail = format!("{what} has at most {bytes_max} bytes; send less, or raise the limit");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
    }

    pub(super) fn too_many(events_max: usize) -> Self {
        let detail = format!(
            "a batch has at most {events_max} events; nothing from here on was published, send it in another batch"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many-events", "Too many events", detail)
    }

    /// So many lines were wrong that the rest is not read.
    pub(super) fn too_many_errors(errors_max: usize) -> Self {
        let detail = format!(
            "{errors_max} events of this batch cannot be published as they are; nothing from here on was published"
        );
        Self::new(StatusCode::BAD_REQUEST, "too-many-errors", "Too many errors", detail)
    }

    pub(super) fn media_type(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The content type is not supported",
            detail,
        )
    }
}

impl Refusal {
    /// The event comes sooner than its sender, or anybody for its topic, may publish.
    pub(super) fn early(early: Early) -> Self {
        let (slug, whose, wait) = match early {
            Early::Sender(wait) => ("sender-rate", "this sender publishes", wait),
            Early::Topic(wait) => ("topic-rate", "this topic is published to", wait),
        };
        let detail = format!(
            "{whose} faster than it may; the event was not published, send it again after the time that retry-after says"
        );
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, slug, "Too fast", detail);
        refusal.problem = refusal.problem.retry_after(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        refusal
    }

    pub(super) fn memory() -> Self {
        let detail = "this publisher is short of memory; nothing was published, try again later";
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "memory", "Short of memory", detail);
        refusal.problem = refusal.problem.retry_after(5);
        refusal
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self { problem: denial.problem(), cause: Some(Box::new(Cause::Access(denial))) }
    }
}

impl From<TopicPathError> for Refusal {
    fn from(error: TopicPathError) -> Self {
        match error {
            TopicPathError::Elsewhere => elsewhere("POST /v1/topics/<topic>/events publishes an event"),
            TopicPathError::Encoding | TopicPathError::Topic(_) => Self::topic(error.to_string()),
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let mut refusal = match &error {
            PublishError::Invalid { bytes_max, .. } => Self::too_large("the data of an event", *bytes_max),
            PublishError::Unavailable { .. } => Self::new(
                unavailable,
                "broker-unavailable",
                "The broker is unavailable",
                "no answer of the broker came: the event may or may not have been published; try again with the same \
                 idempotency key",
            ),
            PublishError::NotSent { .. } => Self::new(
                unavailable,
                "broker-unavailable",
                "The broker is unavailable",
                "the event was not published; try again",
            ),
            PublishError::NotReplicated { confirmed, wanted, .. } => Self::new(
                unavailable,
                "replicas-not-confirmed",
                "Too few replicas have the event",
                format!(
                    "the event is published, but {confirmed} replicas of the {wanted} wanted have confirmed it in \
                     time; with the same idempotency key a retry waits again and repeats nothing"
                ),
            ),
            PublishError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "The idempotency key belongs to another event",
                "this key was used for an event with another type or other data; the event was not published: send it with \
                 a key of its own, and repeat a key only with the same event",
            ),
            PublishError::Refused(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "broker-refused",
                "The broker refused the event",
                "trying again will not help; the publisher's log says why",
            ),
            PublishError::TooBusy => Self::new(
                unavailable,
                "too-busy",
                "Too busy",
                "the queue of events is full; this one was not published, try again later",
            ),
            PublishError::Closed => Self::new(
                unavailable,
                "shutting-down",
                "Shutting down",
                "this publisher is closing; the event was not published, try again, another one will answer",
            ),
        };
        refusal.problem.retry_after_seconds = match &error {
            PublishError::Unavailable { retry_after, .. } | PublishError::NotSent { retry_after, .. } => {
                Some((retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0)).max(1))
            }
            PublishError::NotReplicated { .. } | PublishError::TooBusy | PublishError::Closed => Some(1),
            PublishError::Invalid { .. } | PublishError::KeyReused | PublishError::Refused(_) => None,
        };
        if let PublishError::NotReplicated { id, .. } = error {
            refusal.problem.event = Some(id);
        }
        refusal.cause = Some(Box::new(Cause::Publisher(error)));
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        trace::note(KeyValue::new("error.type", self.problem.slug));
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
        let mut response = (status, content_type, self.problem.to_json()).into_response();
        let reason = match self.cause.as_deref() {
            Some(Cause::Access(denial)) => denial.reason(),
            _ => self.problem.slug,
        };
        response.extensions_mut().insert(RefusedRequest::new(reason));
        let mut insert = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        if let Some(seconds) = self.problem.retry_after_seconds {
            insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(Cause::Access(denial)) = self.cause.as_deref()
            && let Some(challenge) = denial.challenge()
        {
            insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

fn elsewhere(detail: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", detail)
}

pub(super) async fn not_found() -> Refusal {
    // What was asked for is not repeated: it is as long as somebody likes.
    elsewhere("no route leads to this path; POST /v1/topics/<topic>/events publishes an event")
}

pub(super) async fn method_not_allowed() -> Refusal {
    let detail = "this path does not take the method; the `allow` header says what it takes";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed", detail)
}
