//! `POST /v1/drain`: sends the node away as a signal would.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::routes::{JSON, Shared, answer, problem};

/// Begins the drain; a repetition changes nothing. A signal that comes later is the first one.
pub(super) async fn begin(State(state): Shared, headers: HeaderMap) -> Response {
    // A page in somebody's browser can post here without reading the answer; no operator's tool has an origin.
    if headers.contains_key(header::ORIGIN) {
        let detail =
            "requests of web pages are refused; use curl -X POST, without an origin header".to_owned();
        return problem(StatusCode::FORBIDDEN, "cross-origin", "Not for web pages", detail);
    }
    let mut told = (state.drain_plan)();
    let began = state.lifecycle.begin_drain();
    if began {
        tracing::info!("draining, because of POST /v1/drain; a second signal ends the process at once");
    }
    told["phase"] = json!(state.lifecycle.phase().as_str());
    told["began"] = json!(began);
    told["drain_age_ms"] = json!(state.lifecycle.drain_age().map(|age| age.as_millis()));
    answer(StatusCode::ACCEPTED, JSON, told.to_string())
}
