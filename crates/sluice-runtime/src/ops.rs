//! The operations listener: probes, `/metrics`, the node's own description, its streams, its drain and its profiles.
//!
//! It serves from before the first stream until after the last, because balancers learn of a drain here. It
//! must never be public: it describes the node to whoever asks.

mod drain;
mod health;
mod hosts;
mod listener;
mod profile;
mod revocations;
mod routes;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::Lifecycle;
use crate::telemetry::Telemetry;

use health::Heartbeat;

pub use health::CheckState;
pub use profile::{CpuProfiler, Profiling};
pub use revocations::Refused;
pub use streams::StreamsQuery;

use revocations::Revoking;
use streams::Listing;

/// How long open requests may take once the listener is told to stop.
const GRACE: Duration = Duration::from_secs(2);

type Read<T> = Box<dyn Fn() -> T + Send + Sync>;

/// What the listener answers from. Build it, then [`OpsState::serve`].
pub struct OpsState {
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    heartbeat: Heartbeat,
    checks: Vec<(&'static str, Read<CheckState>)>,
    node: Read<Value>,
    drain_plan: Read<Value>,
    streams: Option<Listing>,
    revocations: Option<Revoking>,
    profiling: Option<Profiling>,
    hosts: Vec<String>,
}

impl OpsState {
    /// A node that is ready when `lifecycle` says so.
    #[must_use]
    pub fn new(lifecycle: Lifecycle, telemetry: Telemetry) -> Self {
        let empty = || Value::Object(serde_json::Map::new());
        let heartbeat = Heartbeat::new(Instant::now());
        Self {
            lifecycle,
            telemetry,
            heartbeat,
            checks: Vec::new(),
            node: Box::new(empty),
            drain_plan: Box::new(empty),
            streams: None,
            revocations: None,
            profiling: None,
            hosts: Vec::new(),
        }
    }

    /// Makes readiness depend on `read` too.
    #[must_use]
    pub fn check(
        mut self,
        name: &'static str,
        read: impl Fn() -> CheckState + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Box::new(read)));
        self
    }

    /// What `/v1/node` answers.
    #[must_use]
    pub fn node(mut self, read: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.node = Box::new(read);
        self
    }

    /// What a drain that begins now will do, as `POST /v1/drain` tells it: an object.
    #[must_use]
    pub fn drain_plan(mut self, read: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.drain_plan = Box::new(read);
        self
    }

    /// What `/v1/streams` answers; `None` when the node has enough of such questions. Without it the process
    /// holds no streams.
    #[must_use]
    pub fn streams<F>(mut self, list: impl Fn(StreamsQuery) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Value>> + Send + 'static,
    {
        self.streams = Some(Listing::new(list));
        self
    }

    /// What `/v1/revocations` lists, and what a POST there does with its body. Without it nobody can be revoked.
    #[must_use]
    pub fn revocations<F>(
        mut self,
        list: impl Fn() -> Value + Send + Sync + 'static,
        revoke: impl Fn(Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value, Refused>> + Send + 'static,
    {
        self.revocations = Some(Revoking::new(list, revoke));
        self
    }

    /// Opens `/v1/profile`.
    #[must_use]
    pub fn profiling(mut self, profiling: Profiling) -> Self {
        self.profiling = Some(profiling);
        self
    }

    /// Answers requests that call this listener by one of these names too, in lower case.
    #[must_use]
    pub fn hosts(mut self, hosts: Vec<String>) -> Self {
        self.hosts = hosts;
        self
    }

    /// Serves until `stop`, then lets open requests end for a short while.
    pub async fn serve(mut self, listener: TcpListener, stop: CancellationToken) {
        self.heartbeat.start(&self.lifecycle);
        let (hosts, tracker) = (std::mem::take(&mut self.hosts), self.lifecycle.tracker.clone());
        let router = routes::router(Arc::new(self));
        listener::serve(listener, router, hosts, &tracker, stop).await;
    }
}
