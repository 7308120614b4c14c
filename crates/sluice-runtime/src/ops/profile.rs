//! `/v1/profile`: where time and memory go. Closed unless the configuration opens it, since a profile costs
//! the node some of what it measures and tells much about it.

use std::pin::Pin;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::routes::{JSON, Shared, answer, problem};
use crate::telemetry::threads::ThreadTimes;

const SECONDS_DEFAULT: u64 = 10;
const SECONDS_MAX: u64 = 60;

/// Profiles the process for a time: the profile as gzip-less protobuf in the format of pprof, or why not.
pub type CpuProfiler =
    Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>> + Send + Sync>;

/// What an open `/v1/profile` answers from.
pub struct Profiling {
    cpu: Option<CpuProfiler>,
    heap: Box<dyn Fn() -> Value + Send + Sync>,
    /// Two profiles at once would measure each other.
    turn: Semaphore,
}

impl Profiling {
    /// `cpu` is `None` in a build that has no CPU profiler; `heap` tells what the allocator knows.
    #[must_use]
    pub fn new(cpu: Option<CpuProfiler>, heap: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self { cpu, heap: Box::new(heap), turn: Semaphore::new(1) }
    }

    fn turn(&self) -> Result<SemaphorePermit<'_>, Response> {
        self.turn.try_acquire().map_err(|_| {
            let detail = "a profile is being taken; ask again when it is done".to_owned();
            problem(StatusCode::CONFLICT, "profile-under-way", "One profile at a time", detail)
        })
    }
}

pub(super) async fn index(State(state): Shared) -> Response {
    let profiling = match open(state.profiling.as_ref()) {
        Ok(profiling) => profiling,
        Err(refusal) => return refusal,
    };
    let cpu = match profiling.cpu {
        Some(_) => "CPU samples in pprof's format, ?seconds=1..60",
        None => "not in this build",
    };
    let body = json!({
        "/v1/profile/cpu": cpu,
        "/v1/profile/threads": "CPU time of each thread over ?seconds=1..60",
        "/v1/profile/heap": "what the allocator holds, by its own statistics",
    });
    answer(StatusCode::OK, JSON, body.to_string())
}

pub(super) async fn cpu(State(state): Shared, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let profile = async {
        let profiling = open(state.profiling.as_ref())?;
        let Some(profiler) = &profiling.cpu else { return Err(not_built()) };
        let seconds = seconds(&pairs)?;
        let _turn = profiling.turn()?;
        profiler(seconds).await.map_err(|why| {
            problem(StatusCode::INTERNAL_SERVER_ERROR, "profile-failed", "The profile failed", why)
        })
    };
    match profile.await {
        Ok(bytes) => {
            let name = [(header::CONTENT_DISPOSITION, "attachment; filename=\"sluice-cpu.pb\"")];
            (name, answer(StatusCode::OK, "application/octet-stream", bytes)).into_response()
        }
        Err(refusal) => refusal,
    }
}

pub(super) async fn threads(State(state): Shared, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let profile = async {
        let profiling = open(state.profiling.as_ref())?;
        let seconds = seconds(&pairs)?;
        let _turn = profiling.turn()?;
        let before = ThreadTimes::read();
        tokio::time::sleep(seconds).await;
        Ok::<_, Response>(ThreadTimes::read().since(&before))
    };
    match profile.await {
        Ok(threads) => answer(StatusCode::OK, JSON, threads.to_string()),
        Err(refusal) => refusal,
    }
}

pub(super) async fn heap(State(state): Shared) -> Response {
    match open(state.profiling.as_ref()) {
        Ok(profiling) => answer(StatusCode::OK, JSON, (profiling.heap)().to_string()),
        Err(refusal) => refusal,
    }
}

fn open(profiling: Option<&Profiling>) -> Result<&Profiling, Response> {
    profiling.ok_or_else(|| {
        let detail = "profiling is off; set ops.profiling = true and start the node again".to_owned();
        problem(StatusCode::NOT_FOUND, "profiling-off", "Profiling is off", detail)
    })
}

fn not_built() -> Response {
    let detail = "this build has no CPU profiler; build with --features profiling, or use perf on the host. \
                  /v1/profile/threads tells which threads are busy";
    problem(StatusCode::NOT_IMPLEMENTED, "no-cpu-profiler", "No CPU profiler", detail.to_owned())
}

fn seconds(pairs: &[(String, String)]) -> Result<Duration, Response> {
    let mut seconds = SECONDS_DEFAULT;
    for (name, value) in pairs {
        let parsed =
            value.parse().ok().filter(|seconds| name == "seconds" && (1..=SECONDS_MAX).contains(seconds));
        seconds = parsed.ok_or_else(|| {
            let detail = format!("only seconds may be given, a number from 1 to {SECONDS_MAX}");
            problem(StatusCode::BAD_REQUEST, "bad-query", "The query is wrong", detail)
        })?;
    }
    Ok(Duration::from_secs(seconds))
}
