//! `/v1/events`: the stream.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use sluice_access::{Action, ClientAddress, Denial, Identity, RefusedRequest};
use sluice_broker::now_ms;
use sluice_wire::Problem;
use sluice_wire::sse::Frame;

use super::Edge;
use super::expired::{self, Caller};
use super::problem::{self, Answer};
use crate::admission::{Applicant, Place, Refusal, Refused};
use crate::control;
use crate::ends::Ends;
use crate::leave::Ticket;
use crate::runs::Runs;
use crate::subscription::{Origin, Subscription, asks_for_status, cursor_text};

/// Where streams are.
pub(super) const PATH: &str = "/v1/events";

const EVENT_STREAM: &str = "text/event-stream";

/// With the charset: some clients take ISO-8859-1 for `text/*` that names none.
const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

pub(super) async fn open(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let address = extensions.get::<ClientAddress>().map(|address| address.0);
    let subscription = match check(&edge, query.as_deref(), &headers, &identity) {
        Ok(subscription) => subscription,
        Err(Refusing::Denied(denial)) => {
            return deny(&edge, &denial, caller(&identity, address), query.as_deref(), &headers);
        }
        Err(Refusing::Unsound(problem)) => return Answer::from(problem).into_response(),
    };
    if subscription.origin == Origin::NewerCursor {
        // Another node of a rolling upgrade can read it.
        edge.runs.ground.hub.tallies().refused("newer-cursor");
        return shed("newer-cursor", edge.runs.ground.retry(), query.as_deref(), &headers);
    }
    // Kept until the stream is let in or not: meanwhile it counts for the other nodes.
    let _coming = match (&edge.runs.cluster, &identity.subject) {
        (Some(cluster), Some(subject)) => Some(cluster.ask(subject).await),
        _ => None,
    };
    let applicant = Applicant {
        address,
        identity: Some(&identity),
        topics: &subscription.topics,
        too_many_topics: !edge.runs.ground.hub.has_room(&subscription.topics),
    };
    match admit(&edge.runs, &applicant) {
        Ok(place) => {
            let now_ms = now_ms();
            // Whoever was revoked since they were judged is found here, or by whoever ends what is admitted.
            if let Err(denial) = edge.access.recheck(&identity, now_ms) {
                drop(place);
                return deny(&edge, &denial, caller(&identity, address), query.as_deref(), &headers);
            }
            let ends = Ends::of(&edge.runs.ground.streams, &identity, Instant::now(), now_ms);
            let mut response = stream(Body::empty());
            response.extensions_mut().insert(Ticket::new(edge.runs.clone(), subscription, place, ends));
            response
        }
        Err(Refused { why, wait }) => {
            let retry = wait.map_or_else(|| edge.runs.ground.retry(), |wait| edge.runs.ground.jittered(wait));
            if wants_status(query.as_deref(), &headers) {
                refused(why, retry).into_response()
            } else {
                shed(why.as_str(), retry, query.as_deref(), &headers)
            }
        }
    }
}

/// A place, with the topics of the stream kept for it.
fn admit(runs: &Runs, applicant: &Applicant<'_>) -> Result<Place, Refused> {
    runs.admission.admit(Instant::now(), applicant, || {
        // Others may have taken the last topics since the look.
        runs.ground.hub.reserve(applicant.topics).map(Some).ok_or(Refusal::Topics)
    })
}

/// The head that a GET would have, without taking a place.
pub(super) async fn head(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Response {
    match check(&edge, query.as_deref(), &headers, &identity) {
        // A body of unknown length, as the stream's is: the head of a GET has no `content-length`.
        Ok(_) => stream(Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>())),
        Err(Refusing::Denied(denial)) => Answer::from(denial).into_response(),
        Err(Refusing::Unsound(problem)) => Answer::from(problem).into_response(),
    }
}

pub(super) async fn options() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(header::ALLOW, "GET, HEAD, OPTIONS")])
}

/// Why a request for a stream is not answered with one.
enum Refusing {
    /// The request itself is wrong.
    Unsound(Problem),
    /// Its credentials, or the lack of them.
    Denied(Denial),
}

fn check(
    edge: &Edge,
    query: Option<&str>,
    headers: &HeaderMap,
    identity: &Identity,
) -> Result<Subscription, Refusing> {
    if !accepts_event_stream(headers) {
        return Err(Refusing::Unsound(problem::not_acceptable()));
    }
    let subscription =
        Subscription::parse(query.unwrap_or_default(), headers, edge.limits.topics_per_stream_max);
    let subscription = subscription.map_err(Refusing::Unsound)?;
    subscription.check_beginning(now_ms()).map_err(Refusing::Unsound)?;
    let granted = match subscription.auth_required && identity.is_anonymous() {
        true => Err(Denial::Missing),
        false => identity.check(Action::Subscribe, &subscription.topics),
    };
    granted.inspect_err(|denial| edge.access.count(denial)).map_err(Refusing::Denied)?;
    Ok(subscription)
}

/// The answer to a client that may not have the stream. A browser that could have it with new credentials is told so.
fn deny(edge: &Edge, denial: &Denial, caller: Caller, query: Option<&str>, headers: &HeaderMap) -> Response {
    match expired::reason(edge, denial, query, headers) {
        Some(reason) => expired::tell(edge, reason, caller, query, headers),
        None => Answer::from(denial).into_response(),
    }
}

fn caller(identity: &Identity, address: Option<IpAddr>) -> Caller {
    match (&identity.subject, address) {
        (Some(subject), _) => Caller::Subject(subject.clone()),
        (None, Some(address)) => Caller::Address(address),
        (None, None) => Caller::Unknown,
    }
}

fn stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would hold the answer back until its end.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A stream that ends at once. EventSource never comes back after a status other than 200. It comes back with the
/// cursor that it came with.
pub(super) fn shed(
    reason: &'static str,
    retry: Duration,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response {
    let cursor = cursor_text(query, headers);
    whole_stream(reason, &control::shed(reason, retry, cursor.as_deref()))
}

/// A stream of one frame, which ends at once; `reason` is why its client gets no other.
pub(super) fn whole_stream(reason: &'static str, frame: &Frame) -> Response {
    let mut response = stream(Body::from(frame.payload()));
    response.extensions_mut().insert(RefusedRequest::new(reason));
    response
}

fn refused(why: Refusal, retry: Duration) -> Answer {
    let (status, detail) = match why {
        Refusal::Full => (503, "this node holds as many streams as it may"),
        Refusal::Rate => (429, "streams are opened faster than this node takes them"),
        Refusal::Draining => (503, "this node is going away"),
        Refusal::Address => (429, "your network has as many streams open on this node as it may"),
        Refusal::Subject => (429, "you have as many streams open on this node as you may"),
        Refusal::ClusterSubject => (429, "you have as many streams open as you may"),
        Refusal::Topic => (503, "one of the topics has as many streams on this node as it may"),
        Refusal::Topics => (503, "this node follows as many topics as it may"),
        Refusal::Memory => (503, "this node is short of memory"),
    };
    let problem =
        Problem::new(status, why.as_str(), "No room for the stream", format!("{detail}; try again"));
    Answer::from(problem.retry_after(retry.as_secs() + u64::from(retry.subsec_nanos() > 0)))
}

/// Browsers ask for `text/event-stream` and nothing else; whoever does not can read a status.
pub(super) fn wants_status(query: Option<&str>, headers: &HeaderMap) -> bool {
    let asks_as_browser = headers.get(header::ACCEPT).is_some_and(|accept| accept == EVENT_STREAM);
    !asks_as_browser || asks_for_status(query.unwrap_or_default())
}

/// Whether some range of `Accept` allows the stream. Source: RFC 9110, section 12.5.1.
fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','));
    let Some(first) = ranges.next() else { return true };
    std::iter::once(first).chain(ranges).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let allowed = parts.next().is_some_and(|media| {
            media.eq_ignore_ascii_case(EVENT_STREAM) || media.eq_ignore_ascii_case("text/*") || media == "*/*"
        });
        let refused = parts
            .filter_map(|parameter| parameter.strip_prefix("q="))
            .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        allowed && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_read_by_the_rules() {
        for (accept, fits) in [
            ("text/event-stream", true),
            ("TEXT/Event-Stream", true),
            ("application/json, text/*;q=0.5", true),
            ("*/*", true),
            ("application/json", false),
            ("text/event-stream;q=0", false),
            ("text/html, text/event-stream ; q=0.0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_event_stream(&headers), fits, "{accept:?}");
        }
        assert!(accepts_event_stream(&HeaderMap::new()));
    }
}
