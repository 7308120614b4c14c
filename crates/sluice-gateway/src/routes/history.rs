//! `GET /v1/topics/{topic}/events`: a topic's history as JSON, for polling clients and for looking.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Uri, header};
use http_body::{Frame, SizeHint};
use serde::{Serialize, Serializer};
use sluice_access::{Action, Identity};
use sluice_broker::{BrokerError, now_ms, resolve_since};
use sluice_wire::{Event, EventId, Problem, Since, Topic, TopicPathError, parse_events_path};
use tokio::sync::OwnedSemaphorePermit;

use super::Edge;
use super::problem::{self, Answer};
use crate::subscription::{bad, bad_since};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// A page ends with the event that fills it, however many more were asked for: a client that reads slowly holds
/// it for as long as it likes. Bytes of data.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Events of one read of the log: what is in memory before it is known how large they are.
const READ_EVENTS: usize = 32;
/// What is handed to a socket at once. Bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pages that may be made, or be on their way to clients, at once. Beyond, clients are asked to come again.
pub(super) const PAGES_MAX: usize = 32;

#[derive(Serialize)]
struct History {
    events: Vec<Entry>,
    /// Offered as `since`, it brings what comes next.
    #[serde(serialize_with = "collect_str")]
    next: EventId,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    data: String,
    time: String,
}

pub(super) async fn read(
    State(edge): State<Arc<Edge>>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    match answer(&edge, &identity, uri.path(), query.as_deref().unwrap_or_default()).await {
        Ok((history, turn)) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            // Nothing in it can fail to be written.
            let rest = serde_json::to_vec(&history).unwrap_or_default().into();
            (headers, Body::new(Held { rest, _turn: turn })).into_response()
        }
        Err(answer) => answer.into_response(),
    }
}

/// The rest of a page on its way, in pieces: hyper asks for one when the one before has gone to the socket, so
/// that the page counts until nearly all of it was taken, or its client is gone.
struct Held {
    rest: Bytes,
    _turn: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(piece);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

async fn answer(
    edge: &Edge,
    identity: &Identity,
    path: &str,
    query: &str,
) -> Result<(History, OwnedSemaphorePermit), Answer> {
    let topic = parse_events_path(path).map_err(|error| match error {
        TopicPathError::Elsewhere => Problem::new(404, "not-found", "Not found", error.to_string()),
        error => bad("invalid-topic", "Not a topic", error),
    })?;
    let granted = identity.check(Action::Subscribe, [&topic]);
    granted.inspect_err(|denial| edge.access.count(denial))?;
    let (since, limit) = parse(query)?;
    let turn = edge.histories.clone().try_acquire_owned().map_err(|_| problem::histories_busy())?;
    let history = page(edge, &topic, &since, limit).await.map_err(|error| problem::broker(&error))?;
    Ok((history, turn))
}

async fn page(edge: &Edge, topic: &Topic, since: &Since, limit: usize) -> Result<History, BrokerError> {
    let broker = &edge.runs.ground.logs.broker;
    let position = match since {
        Since::After(id) => *id,
        since => resolve_since(broker.as_ref(), topic, since, now_ms()).await?.position(),
    };
    let mut history = History { events: Vec::new(), next: position };
    let (mut read, mut bytes) = (0, 0);
    while read < limit && bytes < PAGE_BYTES_MAX {
        let reader = edge.runs.ground.logs.readers.acquire().await;
        let count = READ_EVENTS.min(limit - read);
        let page = broker.read(topic, history.next.after(), EventId::MAX, count).await?;
        drop(reader);
        for event in &page.events {
            if bytes >= PAGE_BYTES_MAX {
                return Ok(history);
            }
            bytes += event.data.len();
            history.events.push(Entry::of(event));
            history.next = event.id;
        }
        history.next = page.last.unwrap_or(history.next);
        read += count;
        if !page.more {
            break;
        }
    }
    Ok(history)
}

fn parse(query: &str) -> Result<(Since, usize), Problem> {
    let (mut since, mut limit) = (Since::Earliest, LIMIT_DEFAULT);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "since" => since = value.parse().map_err(|error| bad_since(&error))?,
            "limit" => {
                limit =
                    value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                        bad(
                            "invalid-limit",
                            "Not a limit",
                            format!("limit is a number from 1 to {LIMIT_MAX}"),
                        )
                    })?;
            }
            _ => {}
        }
    }
    Ok((since, limit))
}

fn collect_str<S: Serializer>(id: &EventId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl Entry {
    fn of(event: &Event) -> Self {
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(event.id.ms));
        Self {
            id: event.id.to_string(),
            event_type: event.event_type.as_ref().map_or("message", |t| t.as_str()).to_owned(),
            data: event.data.to_string(),
            time: time.map_or_else(String::new, |time| humantime::format_rfc3339_millis(time).to_string()),
        }
    }
}
