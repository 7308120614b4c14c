//! `/v1/revocations`: who is refused although their credentials are good, and until when.

use std::pin::Pin;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use super::routes::{JSON, Shared, answer, problem};

type Answer = Pin<Box<dyn Future<Output = Result<Value, Refused>> + Send>>;

/// Why nobody was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// What was sent is wrong; what would be right.
    Wrong(String),
    /// As many are in force as may be.
    TooMany(String),
    /// It cannot be written down now; what is known of it.
    Unavailable(String),
}

/// Who knows them and who writes them down.
pub(super) struct Revoking {
    list: Box<dyn Fn() -> Value + Send + Sync>,
    revoke: Box<dyn Fn(Vec<u8>) -> Answer + Send + Sync>,
}

impl Revoking {
    pub(super) fn new<F>(
        list: impl Fn() -> Value + Send + Sync + 'static,
        revoke: impl Fn(Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value, Refused>> + Send + 'static,
    {
        Self { list: Box::new(list), revoke: Box::new(move |body| Box::pin(revoke(body))) }
    }
}

pub(super) async fn list(State(state): Shared) -> Response {
    match &state.revocations {
        Some(revoking) => answer(StatusCode::OK, JSON, (revoking.list)().to_string()),
        None => nothing(),
    }
}

pub(super) async fn revoke(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    // A page in somebody's browser can post here without reading the answer; no operator's tool has an origin.
    if headers.contains_key(header::ORIGIN) {
        let detail = "requests of web pages are refused; use curl, without an origin header".to_owned();
        return problem(StatusCode::FORBIDDEN, "cross-origin", "Not for web pages", detail);
    }
    let Some(revoking) = &state.revocations else { return nothing() };
    match (revoking.revoke)(body.to_vec()).await {
        Ok(revoked) => answer(StatusCode::CREATED, JSON, revoked.to_string()),
        Err(Refused::Wrong(detail)) => {
            problem(StatusCode::BAD_REQUEST, "bad-revocation", "The revocation is wrong", detail)
        }
        Err(Refused::TooMany(detail)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "revocations-max", "Too many revocations", detail)
        }
        Err(Refused::Unavailable(detail)) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "broker-unavailable",
            "The broker is unavailable",
            detail,
        ),
    }
}

fn nothing() -> Response {
    let detail = "no credentials count here (auth.jwt, auth.issuers, auth.api_keys), so none can be revoked"
        .to_owned();
    problem(StatusCode::NOT_FOUND, "no-credentials", "Nothing to revoke", detail)
}
