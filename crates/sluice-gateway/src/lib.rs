//! The HTTP edge of Sluice: routes, admission, the hub (topics to feeds), catch-up.
//!
//! A [`Gateway`] is one node. It holds no state that a client's cursor does not also hold: any other node
//! can go on where this one stops.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod admission;
mod approach;
mod beginning;
mod body;
mod catch_up;
mod census;
mod cluster;
mod control;
mod drain;
mod ends;
mod hub;
mod leave;
mod revoked;
mod routes;
mod runs;
mod server;
mod settings;
mod socket;
mod subscription;
mod supply;
mod sweep;
mod tallies;
#[cfg(test)]
mod tests;
mod trace;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use sluice_broker::{Broker, FollowerStatus, Partition};
use sluice_fanout::{Housekeeping, Shard, ShardSettings};
pub use sluice_fanout::{PASS_STREAMS, Phase as StreamPhase, ShardStatus, StreamReport, TURN_US};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
pub use crate::admission::{Principal, Sentence};
use crate::approach::Ground;
pub use crate::catch_up::ReplayMemory;
use crate::catch_up::{LogAccess, PageMemory, ReadBudget};
pub use crate::census::{Census, Listed};
use crate::cluster::Cluster;
pub use crate::drain::Drained;
use crate::hub::Hub;
use crate::routes::Edge;
pub use crate::routes::{Serves, finish};
use crate::runs::Runs;
pub use crate::server::{
    Ends, ForwardedField, ListenerSettings, ProxyProtocol, Tls, TlsError, TlsSettings, TlsStatus,
    TrustedProxies, serve,
};
pub use crate::settings::{
    CorsSettings, GatewaySettings, Limits, OnLag, RefusedWait, RingLimits, StreamSettings, WindowLimits,
};
use crate::socket::Harbour;
pub use crate::subscription::topics_asked_for;
pub use crate::tallies::{LAG_US, LagFigures};

/// How often feeds are looked at for silence.
const BEAT: Duration = Duration::from_secs(1);
/// How long the peer of an ended stream may take to close its side.
const CLOSING: Duration = Duration::from_secs(2);
/// One gateway node.
#[derive(Debug, Clone)]
pub struct Gateway {
    edge: Arc<Edge>,
}

/// What a node holds and how it fares.
#[derive(Debug, Clone)]
pub struct GatewayStatus {
    /// Open streams.
    pub streams: usize,
    /// Distinct sets of topics.
    pub feeds: usize,
    /// Topics in memory.
    pub topics: usize,
    /// Bytes of recent events in memory.
    pub window_bytes: usize,
    /// Memory for what is read of logs on its way to clients.
    pub replay_memory: ReplayMemory,
    /// What the shards have done and hold.
    pub shards: ShardStatus,
    /// How the broker is followed.
    pub follower: FollowerStatus,
    /// What of the broker could not be read lately.
    pub unread: Vec<Partition>,
}

impl Gateway {
    /// Begins a node on `broker`. Its tasks run on `tracker`; its streams end at `stop`. To be called in the
    /// runtime that serves it.
    ///
    /// # Errors
    ///
    /// When the system refuses what the shards need.
    pub fn start(
        broker: Arc<dyn Broker>,
        settings: GatewaySettings,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        let follower = settings.follower;
        let harbour = Arc::new(Harbour::default());
        let shards = start_shards(&settings, &harbour)?;
        let hub = Hub::start(broker.clone(), &settings, shards, tracker, stop.clone());
        let budget = ReadBudget {
            readers: Arc::new(Semaphore::new(settings.catch_up_readers_max.max(1))),
            memory: PageMemory::new(settings.catch_up_bytes_max, hub.tallies().clone()),
        };
        let logs = LogAccess::new(broker.clone(), budget, follower.replay, hub.tallies());
        let admission = Admission::new(
            &settings.limits,
            settings.pressure.clone(),
            hub.tallies().clone(),
            Instant::now(),
        );
        cluster::register();
        let shared = settings.limits.cluster_streams_per_subject_max > 0;
        let cluster = shared.then(|| Cluster::new(admission.clone(), broker));
        if let Some(cluster) = cluster.clone() {
            tracker.spawn(cluster.keep(stop.clone()));
        }
        let runs = Arc::new(Runs {
            ground: Ground { hub, logs, streams: settings.streams },
            admission,
            cluster,
            tracker: tracker.clone(),
            runtime: Handle::current(),
            stop: stop.clone(),
        });
        harbour.open(runs.clone());
        let edge = Edge::new(runs, settings.limits, settings.access, settings.expired_as_event);
        let gateway = Self { edge: Arc::new(edge) };
        tracker.spawn(gateway.clone().keep());
        tracker.spawn(stop.clone().run_until_cancelled_owned(gateway.clone().end_revoked()));
        Ok(gateway)
    }

    /// The public routes, without those that every listener has: see [`finish`].
    pub fn router(&self) -> Router {
        routes::router(self.edge.clone())
    }

    /// What it holds and how it fares.
    #[must_use]
    pub fn status(&self) -> GatewayStatus {
        let Runs { ground, admission, .. } = self.edge.runs.as_ref();
        let sizes = ground.hub.sizes();
        GatewayStatus {
            streams: admission.open(),
            feeds: sizes.feeds,
            topics: sizes.topics,
            window_bytes: sizes.window_bytes,
            replay_memory: ground.logs.memory.status(),
            shards: ground.hub.shard_status(),
            follower: ground.hub.follower_status(),
            unread: ground.hub.unread(),
        }
    }

    /// The bytes of frames that streams over TLS and HTTP/2 have not taken yet.
    #[must_use]
    pub fn polled_ring_bytes(&self) -> usize {
        self.edge.runs.ground.hub.polled().ring_bytes()
    }

    /// How long events took to their streams, and streams to their rings.
    #[must_use]
    pub fn lags(&self) -> LagFigures {
        self.edge.runs.ground.hub.tallies().lags()
    }

    fn runs(&self) -> &Runs {
        &self.edge.runs
    }

    /// Heartbeats while the node runs; the end of its streams when it stops.
    async fn keep(self) {
        let Runs { ground, admission, stop, .. } = self.edge.runs.as_ref();
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(beats.tick()).await.is_some() {
            ground.hub.polled().beat(Instant::now(), ground.streams.heartbeat);
        }
        admission.drain();
        ground.hub.polled().close();
        ground.hub.shards().iter().for_each(Shard::stop);
    }
}

fn start_shards(settings: &GatewaySettings, harbour: &Arc<Harbour>) -> io::Result<Vec<Shard>> {
    let StreamSettings { heartbeat, write_stall, shards, pin_cpus, .. } = settings.streams;
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let count = if shards == 0 { processors } else { shards };
    let housekeeping = Housekeeping {
        heartbeat_s: seconds(heartbeat),
        stall_s: seconds(write_stall),
        closing_s: seconds(CLOSING),
    };
    let settings = ShardSettings { rings: settings.rings, housekeeping, pin_cpus };
    (0..count).map(|number| Shard::start(number, settings, harbour.clone())).collect()
}

/// At least one: a shard's clock counts whole seconds.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}
