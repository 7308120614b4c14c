//! `GET /v1/topics/{topic}/events`: a topic's history as JSON, for polling clients and for looking.

mod page;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use sluice_access::{Action, Identity};
use sluice_broker::{BrokerError, now_ms, resolve_since};
use sluice_wire::{EventId, Problem, Since, Topic, TopicPathError, parameter, parse_events_path};

pub(super) use self::page::HELD_BYTES_MAX;
use self::page::{NoPage, Pages};
use super::Edge;
use super::problem::{self, Answer};
use crate::subscription::{bad, bad_since};

/// What the query may hold. Tokens are read before.
const PARAMETERS: [&str; 3] = ["since", "limit", "access_token"];

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

pub(super) async fn read(
    State(edge): State<Arc<Edge>>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    match answer(&edge, &identity, uri.path(), query.as_deref().unwrap_or_default()).await {
        Ok(page) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, Body::new(page)).into_response()
        }
        Err(answer) => answer.into_response(),
    }
}

async fn answer(edge: &Edge, identity: &Identity, path: &str, query: &str) -> Result<Pages, Answer> {
    let topic = parse_events_path(path).map_err(|error| match error {
        TopicPathError::Elsewhere => Problem::new(404, "not-found", "Not found", error.to_string()),
        error => bad("invalid-topic", "Not a topic", error),
    })?;
    let granted = identity.check(Action::Subscribe, [&topic]);
    granted.inspect_err(|denial| edge.access.count(denial))?;
    let (since, limit) = parse(query)?;
    let at = beginning(edge, &topic, &since).await.map_err(|error| problem::broker(&error))?;
    let page = Pages::begin(edge.runs.clone(), edge.histories.clone(), topic, at, limit).await;
    page.map_err(|why| match why {
        NoPage::Busy => problem::histories_busy().into(),
        NoPage::Broker(error) => problem::broker(&error).into(),
    })
}

async fn beginning(edge: &Edge, topic: &Topic, since: &Since) -> Result<EventId, BrokerError> {
    Ok(match since {
        Since::After(id) => *id,
        since => {
            resolve_since(edge.runs.ground.logs.broker.as_ref(), topic, since, now_ms()).await?.position()
        }
    })
}

fn parse(query: &str) -> Result<(Since, usize), Problem> {
    let (mut since, mut limit) = (Since::Earliest, LIMIT_DEFAULT);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match parameter(&key, &PARAMETERS)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_nobody_reads_is_refused() {
        assert_eq!(parse("limit=7&since=earliest&access_token=x").unwrap(), (Since::Earliest, 7));
        for query in ["limt=7", "last_event_id=1-0", "topic=a", "limit=1&Since=earliest"] {
            assert_eq!(parse(query).unwrap_err().slug, "unknown-parameter", "{query}");
        }
    }
}
