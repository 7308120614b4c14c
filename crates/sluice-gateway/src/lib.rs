//! The HTTP edge of Sluice: routes, admission, the hub (topics to feeds), catch-up.
//!
//! A [`Gateway`] is one node. It holds no state that a client's cursor does not also hold: any other node
//! can go on where this one stops.

mod admission;
mod approach;
mod body;
mod catch_up;
mod control;
mod hub;
mod routes;
mod server;
mod settings;
mod subscription;
mod tallies;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use sluice_broker::{Broker, FollowerStatus};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::approach::Ground;
use crate::body::Runs;
use crate::catch_up::{LogAccess, SharedReads};
use crate::hub::Hub;
use crate::routes::Edge;
pub use crate::routes::finish;
pub use crate::server::serve;
pub use crate::settings::{CorsSettings, GatewaySettings, Limits, OnLag, StreamSettings, WindowLimits};

/// How often feeds are looked at for silence.
const BEAT: Duration = Duration::from_secs(1);

/// One gateway node.
#[derive(Debug, Clone)]
pub struct Gateway {
    edge: Arc<Edge>,
}

/// What a node holds and how it fares.
#[derive(Debug, Clone, Copy)]
pub struct GatewayStatus {
    /// Open streams.
    pub streams: usize,
    /// Distinct sets of topics.
    pub feeds: usize,
    /// Topics in memory.
    pub topics: usize,
    /// Bytes of recent events in memory.
    pub window_bytes: usize,
    /// How the broker is followed.
    pub follower: FollowerStatus,
}

impl Gateway {
    /// Begins a node on `broker`. Its tasks run on `tracker`; its streams end at `stop`.
    #[must_use]
    pub fn start(
        broker: Arc<dyn Broker>,
        settings: GatewaySettings,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let follower = settings.follower;
        let hub = Hub::start(broker.clone(), settings.windows, settings.rings, follower, tracker, stop.clone());
        let logs = LogAccess {
            broker: Arc::new(SharedReads::new(broker, hub.tallies().clone())),
            readers: Arc::new(Semaphore::new(settings.catch_up_readers_max.max(1))),
            replay: follower.replay,
        };
        let admission = Admission::new(&settings.limits, hub.tallies().clone(), Instant::now());
        let ground = Ground { hub, logs, streams: settings.streams };
        let runs = Runs { ground, tracker: tracker.clone(), stop: stop.clone() };
        let gateway = Self {
            edge: Arc::new(Edge {
                runs: Arc::new(runs),
                admission,
                limits: settings.limits,
                anonymous: settings.anonymous,
            }),
        };
        tracker.spawn(gateway.clone().keep());
        gateway
    }

    /// The public routes, without those that every listener has: see [`finish`].
    pub fn router(&self) -> Router {
        routes::router(self.edge.clone())
    }

    /// What it holds and how it fares.
    #[must_use]
    pub fn status(&self) -> GatewayStatus {
        let hub = &self.edge.runs.ground.hub;
        let sizes = hub.sizes();
        GatewayStatus {
            streams: self.edge.admission.open(),
            feeds: sizes.feeds,
            topics: sizes.topics,
            window_bytes: sizes.window_bytes,
            follower: hub.follower_status(),
        }
    }

    /// Heartbeats while the node runs; the end of its streams when it stops.
    async fn keep(self) {
        let Runs { ground, stop, .. } = self.edge.runs.as_ref();
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(beats.tick()).await.is_some() {
            ground.hub.polled().beat(Instant::now(), ground.streams.heartbeat);
        }
        self.edge.admission.drain();
        ground.hub.polled().close();
    }
}
