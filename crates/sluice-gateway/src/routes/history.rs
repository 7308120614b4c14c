//! `GET /v1/topics/{topic}/events`: a topic's history as JSON, for polling clients and for looking.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::Uri;
use serde::Serialize;
use sluice_access::{Action, Identity};
use sluice_broker::{BrokerError, resolve_since};
use sluice_wire::{Event, EventId, Problem, Since, Topic, TopicPathError, parse_events_path};

use super::Edge;
use super::problem::{self, Answer};
use crate::clock;
use crate::subscription::{bad, bad_since};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

#[derive(Serialize)]
struct History {
    events: Vec<Entry>,
    /// Offered as `since`, it brings what comes next.
    next: String,
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
        Ok(history) => ([(http::header::CACHE_CONTROL, "no-store")], Json(history)).into_response(),
        Err(answer) => answer.into_response(),
    }
}

async fn answer(edge: &Edge, identity: &Identity, path: &str, query: &str) -> Result<History, Answer> {
    let topic = parse_events_path(path).map_err(|error| match error {
        TopicPathError::Elsewhere => Problem::new(404, "not-found", "Not found", error.to_string()),
        error => bad("invalid-topic", "Not a topic", error),
    })?;
    let granted = identity.check(Action::Subscribe, [&topic]);
    granted.inspect_err(|denial| edge.access.count(denial))?;
    let (since, limit) = parse(query)?;
    page(edge, &topic, &since, limit).await.map_err(|error| problem::broker(&error).into())
}

async fn page(edge: &Edge, topic: &Topic, since: &Since, limit: usize) -> Result<History, BrokerError> {
    let broker = &edge.runs.ground.logs.broker;
    let position = match since {
        Since::After(id) => *id,
        since => resolve_since(broker.as_ref(), topic, since, clock::now_ms()).await?.position(),
    };
    let _reader = edge.runs.ground.logs.readers.acquire().await;
    let page = broker.read(topic, position.after(), EventId::MAX, limit).await?;
    let next = page.last.unwrap_or(position).to_string();
    Ok(History { events: page.events.iter().map(Entry::of).collect(), next })
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
