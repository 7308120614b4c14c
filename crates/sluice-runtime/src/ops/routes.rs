//! The routes of the operations listener.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, json};
use sluice_wire::{PROBLEM_JSON, Problem};
use tokio::time::Instant;

use super::{CheckState, OpsState, drain, profile, revocations, streams};
use crate::lifecycle::Phase;

pub(super) const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const ROUTES: &str = "/livez, /readyz, /startupz, /metrics, /v1/node, /v1/streams, /v1/revocations, /v1/drain (POST) and /v1/profile";

pub(super) type Shared = State<Arc<OpsState>>;

pub(super) fn router(state: Arc<OpsState>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics))
        .route("/v1/node", get(node))
        .route("/v1/streams", get(streams::list))
        .route("/v1/drain", post(drain::begin))
        .route("/v1/revocations", get(revocations::list).post(revocations::revoke))
        .route("/v1/profile", get(profile::index))
        .route("/v1/profile/cpu", get(profile::cpu))
        .route("/v1/profile/threads", get(profile::threads))
        .route("/v1/profile/heap", get(profile::heap))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
}

/// Only a runtime that no longer runs its tasks is dead: restarting a node for anything else would break its
/// streams and mend nothing.
async fn livez(State(state): Shared) -> Response {
    match state.heartbeat.overdue(Instant::now()) {
        None => answer(StatusCode::OK, JSON, json!({"state": "ok"}).to_string()),
        Some(age) => {
            let body = json!({"state": "wedged", "heartbeat_age_s": age.as_secs()});
            answer(StatusCode::SERVICE_UNAVAILABLE, JSON, body.to_string())
        }
    }
}

async fn readyz(State(state): Shared) -> Response {
    let phase = state.lifecycle.phase();
    let mut ready = phase == Phase::Ready;
    let mut checks = Map::new();
    for (name, read) in &state.checks {
        let value = match read() {
            CheckState::Ok => json!({"state": "ok"}),
            CheckState::Failing(why) => {
                ready = false;
                json!({"state": "failing", "why": why})
            }
        };
        checks.insert((*name).to_owned(), value);
    }
    let body = json!({"ready": ready, "phase": phase.as_str(), "checks": checks});
    answer(status(ready), JSON, body.to_string())
}

async fn startupz(State(state): Shared) -> Response {
    let phase = state.lifecycle.phase();
    answer(status(phase != Phase::Starting), JSON, json!({"phase": phase.as_str()}).to_string())
}

async fn metrics(State(state): Shared) -> Response {
    answer(StatusCode::OK, PROMETHEUS, state.telemetry.render())
}

async fn node(State(state): Shared) -> Response {
    answer(StatusCode::OK, JSON, (state.node)().to_string())
}

async fn not_found() -> Response {
    let detail = format!("there is nothing at this path; this listener serves {ROUTES}");
    problem(StatusCode::NOT_FOUND, "not-found", "There is nothing here", detail)
}

async fn method_not_allowed() -> Response {
    let detail = "the method is not allowed here; the allow header says what is".to_owned();
    problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed", detail)
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

pub(super) fn problem(
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
) -> Response {
    answer(status, PROBLEM_JSON, Problem::new(status.as_u16(), slug, title, detail).to_json())
}

pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.into()).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Heartbeat;
    use super::*;
    use crate::lifecycle::Lifecycle;
    use crate::telemetry::Telemetry;

    #[tokio::test]
    async fn a_runtime_that_stopped_running_its_tasks_is_not_alive() {
        let mut state = OpsState::new(Lifecycle::new(), Telemetry::detached().unwrap());
        let last = Instant::now().checked_sub(Duration::from_secs(40)).unwrap();
        state.heartbeat = Heartbeat::new(last);
        let answer = livez(State(Arc::new(state))).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
