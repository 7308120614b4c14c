//! `/v1/profile`: where time and memory go. Closed unless the configuration opens it, since a profile costs
//! the node some of what it measures and tells much about it.

use std::pin::Pin;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::OpsState;
use super::routes::{JSON, Shared, answer, problem};
use crate::telemetry::threads::ThreadTimes;

const SECONDS_DEFAULT: u64 = 10;
const SECONDS_MAX: u64 = 60;

type Pairs = Query<Vec<(String, String)>>;

/// Profiles the process for a time: the profile in the format of pprof, uncompressed, or why there is none.
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

    fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.turn.try_acquire().map_err(|_| Refusal::UnderWay)
    }
}

/// Why there is no profile.
#[derive(Debug)]
pub(super) enum Refusal {
    Off,
    NotBuilt,
    Query,
    UnderWay,
    Failed(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, slug, title, detail) = match self {
            Self::Off => {
                let detail = "profiling is off; set ops.profiling = true and start the node again".to_owned();
                (StatusCode::NOT_FOUND, "profiling-off", "Profiling is off", detail)
            }
            Self::NotBuilt => {
                let detail = "build with --features profiling, or use perf on the host; /v1/profile/threads tells \
                              which threads are busy";
                (
                    StatusCode::NOT_IMPLEMENTED,
                    "no-cpu-profiler",
                    "No CPU profiler in this build",
                    detail.to_owned(),
                )
            }
            Self::Query => {
                let detail = format!("only seconds may be given, a number from 1 to {SECONDS_MAX}");
                (StatusCode::BAD_REQUEST, "bad-query", "The query is wrong", detail)
            }
            Self::UnderWay => {
                let detail = "a profile is being taken; ask again when it is done".to_owned();
                (StatusCode::CONFLICT, "profile-under-way", "One profile at a time", detail)
            }
            Self::Failed(why) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "profile-failed", "The profile failed", why)
            }
        };
        problem(status, slug, title, detail)
    }
}

pub(super) async fn index(State(state): Shared) -> Result<Response, Refusal> {
    let cpu = match open(&state)?.cpu {
        Some(_) => "CPU samples in pprof's format, ?seconds=1..60",
        None => "not in this build",
    };
    let body = json!({
        "/v1/profile/cpu": cpu,
        "/v1/profile/threads": "CPU time of each thread over ?seconds=1..60",
        "/v1/profile/heap": "what the allocator holds, by its own statistics",
    });
    Ok(answer(StatusCode::OK, JSON, body.to_string()))
}

pub(super) async fn cpu(State(state): Shared, Query(pairs): Pairs) -> Result<Response, Refusal> {
    let profiling = open(&state)?;
    let profiler = profiling.cpu.as_ref().ok_or(Refusal::NotBuilt)?;
    let time = seconds(&pairs)?;
    let _turn = profiling.turn()?;
    let bytes = profiler(time).await.map_err(Refusal::Failed)?;
    let name = [(header::CONTENT_DISPOSITION, "attachment; filename=\"sluice-cpu.pb\"")];
    Ok((name, answer(StatusCode::OK, "application/octet-stream", bytes)).into_response())
}

pub(super) async fn threads(State(state): Shared, Query(pairs): Pairs) -> Result<Response, Refusal> {
    let profiling = open(&state)?;
    let time = seconds(&pairs)?;
    let _turn = profiling.turn()?;
    let before = ThreadTimes::read();
    tokio::time::sleep(time).await;
    let told = ThreadTimes::read().since(&before);
    Ok(answer(StatusCode::OK, JSON, told.to_string()))
}

pub(super) async fn heap(State(state): Shared) -> Result<Response, Refusal> {
    let told = (open(&state)?.heap)();
    Ok(answer(StatusCode::OK, JSON, told.to_string()))
}

fn open(state: &OpsState) -> Result<&Profiling, Refusal> {
    state.profiling.as_ref().ok_or(Refusal::Off)
}

fn seconds(pairs: &[(String, String)]) -> Result<Duration, Refusal> {
    let mut seconds = SECONDS_DEFAULT;
    for (name, value) in pairs {
        let parsed = value.parse().ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
        seconds = parsed.filter(|_| name == "seconds").ok_or(Refusal::Query)?;
    }
    Ok(Duration::from_secs(seconds))
}
