//! One node as the tests run it: hub, follower and polled streams, small enough that everything overflows.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use sluice_broker::{Broker, FollowerSettings, FollowerStatus, ReplaySettings};
use sluice_fanout::RingLimits;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::history::MARGIN_MS;
use super::world::UNITS;
use crate::admission::{Admission, Applicant};
use crate::approach::Ground;
use crate::beginning::Beginning;
use crate::body::SseBody;
use crate::catch_up::{LogAccess, PageMemory, ReadBudget, ReplayMemory};
use crate::hub::{Hub, HubSizes};
use crate::runs::Runs;
use crate::settings::{GatewaySettings, Limits, OnLag, StreamSettings, WindowLimits};
use crate::subscription::Subscription;

const FOLLOWER: FollowerSettings = FollowerSettings {
    tail_interval: Duration::from_millis(40),
    tail_batch_topics: 2,
    tail_topics_per_second: 1_000,
    tail_page_events: 2,
    confirm_margin: Duration::from_millis(MARGIN_MS * UNITS),
    linger: Duration::ZERO,
    topics_max: 0,
    open_batch_topics: 2,
    refills_max: 2,
    replay: ReplaySettings { page_events: 3, rewind_margin: Duration::from_secs(10) },
};
const WINDOWS: WindowLimits = WindowLimits { events_max: 12, bytes_max: 1 << 20, node_bytes_max: 600 << 10 };
const RINGS: RingLimits = RingLimits { events_max: 5, bytes_max: 1 << 20 };

pub(super) struct Node {
    runs: Arc<Runs>,
}

impl Node {
    pub(super) fn start(
        broker: Arc<dyn Broker>,
        on_lag: OnLag,
        catch_up_bytes_max: usize,
        tracker: &TaskTracker,
    ) -> Self {
        let stop = CancellationToken::new();
        let settings = GatewaySettings {
            windows: WINDOWS,
            rings: RINGS,
            follower: FOLLOWER,
            catch_up_bytes_max,
            ..GatewaySettings::default()
        };
        let hub = Hub::start(broker.clone(), &settings, Vec::new(), tracker, stop.clone());
        let budget = ReadBudget {
            readers: Arc::new(Semaphore::new(2)),
            memory: PageMemory::new(catch_up_bytes_max, hub.tallies().clone()),
        };
        let logs = LogAccess::new(broker, budget, FOLLOWER.replay, hub.tallies());
        let limits = Limits { accept_per_second: u32::MAX, accept_burst: u32::MAX, ..Limits::default() };
        let admission = Admission::new(
            &limits,
            sluice_access::Pressure::default(),
            hub.tallies().clone(),
            Instant::now(),
        );
        let streams = StreamSettings { on_lag, ..StreamSettings::default() };
        let runs = Runs {
            ground: Ground { hub, logs, streams },
            admission,
            cluster: None,
            tracker: tracker.clone(),
            runtime: Handle::current(),
            stop,
        };
        Self { runs: Arc::new(runs) }
    }

    /// A stream as a client asks for it.
    pub(super) fn open(&self, query: &str, last_event_id: &str) -> Pin<Box<SseBody>> {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", HeaderValue::from_str(last_event_id).unwrap());
        let subscription = Subscription::parse(query, &headers, 9).unwrap();
        let place = self.runs.admission.admit(Instant::now(), &Applicant::default(), || Ok(None)).unwrap();
        let beginning = Beginning::left_open(&self.runs.ground, &subscription);
        Box::pin(SseBody::new(self.runs.clone(), subscription, beginning, place, None))
    }

    /// A heartbeat to every feed.
    pub(super) fn beat(&self) {
        self.runs.ground.hub.polled().beat(Instant::now(), Duration::ZERO);
    }

    pub(super) fn follower(&self) -> FollowerStatus {
        self.runs.ground.hub.follower_status()
    }

    pub(super) fn sizes(&self) -> HubSizes {
        self.runs.ground.hub.sizes()
    }

    /// Memory for what is read of logs, and how often it was waited for.
    pub(super) fn replay_memory(&self) -> (ReplayMemory, u64) {
        let Ground { hub, logs, .. } = &self.runs.ground;
        (logs.memory.status(), hub.tallies().lags().memory_wait.0.iter().sum())
    }

    pub(super) fn open_streams(&self) -> usize {
        self.runs.admission.open()
    }

    pub(super) fn stop(&self) {
        self.runs.stop.cancel();
    }
}
