//! `/v1/streams`: the streams of a node that lag most. A question is a walk over every slot, so one is
//! answered at a time.

use std::pin::Pin;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use sluice_wire::Topic;
use tokio::sync::Semaphore;

use super::routes::{JSON, Shared, answer, problem};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;

type Answer = Pin<Box<dyn Future<Output = Option<Value>> + Send>>;

/// Which streams are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsQuery {
    /// Those of this topic; otherwise all.
    pub topic: Option<Topic>,
    /// At most so many: 50 unless the query says otherwise, never more than 1,000.
    pub limit: usize,
}

/// Who answers, and how many at once.
pub(super) struct Listing {
    list: Box<dyn Fn(StreamsQuery) -> Answer + Send + Sync>,
    turn: Semaphore,
}

impl Listing {
    pub(super) fn new<F>(list: impl Fn(StreamsQuery) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Value>> + Send + 'static,
    {
        Self { list: Box::new(move |query| Box::pin(list(query))), turn: Semaphore::new(1) }
    }
}

impl StreamsQuery {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut query = Self { topic: None, limit: LIMIT_DEFAULT };
        for (name, value) in pairs {
            match name.as_str() {
                "topic" => {
                    let topic = Topic::parse(&value).map_err(|error| format!("topic: {error}"))?;
                    query.topic = Some(topic);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    query.limit = limit.ok_or(format!("limit must be a number from 1 to {LIMIT_MAX}"))?;
                }
                _ => return Err("only topic and limit may be given".to_owned()),
            }
        }
        Ok(query)
    }
}

pub(super) async fn list(State(state): Shared, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let Some(listing) = &state.streams else {
        let detail = "this process holds no streams; ask a gateway".to_owned();
        return problem(StatusCode::NOT_FOUND, "no-streams", "There are no streams here", detail);
    };
    let query = match StreamsQuery::parse(pairs) {
        Ok(query) => query,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, "bad-query", "The query is wrong", detail),
    };
    let Ok(_turn) = listing.turn.try_acquire() else { return busy() };
    match (listing.list)(query).await {
        Some(streams) => answer(StatusCode::OK, JSON, streams.to_string()),
        None => busy(),
    }
}

fn busy() -> Response {
    let detail = "the streams are being listed for somebody else; ask again".to_owned();
    let problem = problem(StatusCode::TOO_MANY_REQUESTS, "busy", "One listing at a time", detail);
    ([("retry-after", "1")], problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_refused_with_what_is_right() {
        let parse = |pairs: &[(&str, &str)]| {
            StreamsQuery::parse(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
        };
        assert_eq!(parse(&[]).unwrap(), StreamsQuery { topic: None, limit: 50 });
        let both = parse(&[("topic", "a/b"), ("limit", "1000")]).unwrap();
        assert_eq!((both.topic.unwrap().as_str(), both.limit), ("a/b", 1_000));
        for wrong in [("limit", "0"), ("limit", "1001"), ("limit", "x"), ("topic", ""), ("state", "live")] {
            assert!(parse(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
