//! The HTTP service: routes, what they are allowed, and the order in which a request is looked at: path,
//! permission, room, headers, body. A refusal never costs more than what came before it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use sluice_access::{Access, Action, Identity, Pressure};
use sluice_broker::now_ms;
use sluice_wire::{NewEvent, Topic};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{PublishError, Publisher, Receipt, trace};
use limiter::{RequestLimiter, RequestPermit};
use pace::{Pace, Sender};
use refusal::Refusal;

mod batch;
mod body;
mod headers;
mod identify;
mod json;
mod limiter;
mod lines;
mod one;
mod pace;
mod refusal;
mod report;
mod revocations;
mod tracked;

pub use json::read_event;
pub use pace::PaceSettings;
pub use revocations::{RevokeError, Revoking};

/// What the HTTP service allows.
#[derive(Debug, Clone)]
pub struct RouteSettings {
    /// Who may publish what.
    pub access: Access,
    /// How many bytes the body of one event, or a JSON array of events, has at most.
    pub body_bytes_max: usize,
    /// How many bytes a line of a batch has at most.
    pub line_bytes_max: usize,
    /// How many bytes a batch of lines has at most.
    pub batch_bytes_max: usize,
    /// How many events a batch has at most.
    pub batch_events_max: usize,
    /// How many events of one batch may wait for their answers at once.
    pub batch_in_flight_max: usize,
    /// How many requests with one event or a JSON array may be read or answered at once.
    pub requests_max: usize,
    /// How many batches of lines may be open at once; they take no place of the others.
    pub uploads_max: usize,
    /// How many replicas a request may wait for.
    pub wait_replicas_max: u8,
    /// How long a body may pause.
    pub body_idle_max: Duration,
    /// When this is cancelled, no more lines of open batches are read: each is answered with its report.
    pub draining: CancellationToken,
    /// Has a token of every request until its answer was handed to the connection.
    pub requests: TaskTracker,
    /// How fast events may come.
    pub pace: PaceSettings,
    /// Whether the process is short of memory: then nothing is taken in.
    pub pressure: Pressure,
    /// Who revokes credentials for applications; `None` where there are none to revoke.
    pub revoking: Option<Revoking>,
    /// How long a request waits for room in the publisher's queue.
    pub queue_wait_max: Duration,
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self {
            access: Access::open(Vec::new(), Vec::new()),
            // Room for an event of 256 KiB whose every character is a six-byte escape in JSON.
            body_bytes_max: 2 << 20,
            line_bytes_max: 2 << 20,
            batch_bytes_max: 64 << 20,
            batch_events_max: 10_000,
            batch_in_flight_max: 1_024,
            requests_max: 1_024,
            uploads_max: 256,
            wait_replicas_max: 3,
            body_idle_max: Duration::from_secs(120),
            draining: CancellationToken::new(),
            requests: TaskTracker::new(),
            pace: PaceSettings::default(),
            pressure: Pressure::default(),
            revoking: None,
            queue_wait_max: Duration::from_secs(2),
        }
    }
}

/// `POST /v1/topics/{topic}/events`, `POST /v1/events`, and `/v1/revocations`.
///
/// No fallbacks are set, so that a gateway's GET routes on the same paths can be merged in; give the whole to
/// [`with_problem_fallbacks`].
pub fn routes(publisher: Publisher, settings: RouteSettings) -> Router {
    let requests = RequestLimiter::new(settings.requests_max);
    let uploads = RequestLimiter::new(settings.uploads_max);
    let spans = publisher.spans().clone();
    let pace = Arc::new(Pace::new(settings.pace, Instant::now()));
    let service = Service { publisher, settings: Arc::new(settings), requests, uploads, pace };
    Router::new()
        .route("/v1/events", post(batch::publish))
        .route("/v1/topics/{*rest}", post(one::publish))
        .route("/v1/revocations", get(revocations::list).post(revocations::revoke))
        .route_layer(from_fn_with_state(service.clone(), identify::identify))
        .route_layer(from_fn_with_state(service.settings.requests.clone(), tracked::track))
        .route_layer(from_fn_with_state(spans, trace::around_request))
        .with_state(service)
}

/// `router`, answering unknown paths (404) and methods (405) with problem details.
pub fn with_problem_fallbacks(router: Router) -> Router {
    router.fallback(refusal::not_found).method_not_allowed_fallback(refusal::method_not_allowed)
}

#[derive(Clone)]
struct Service {
    publisher: Publisher,
    settings: Arc<RouteSettings>,
    requests: RequestLimiter,
    uploads: RequestLimiter,
    pace: Arc<Pace>,
}

impl Service {
    /// Whether the sender may publish to `topic`.
    fn permit(&self, sender: &Identity, topic: &Topic) -> Result<(), Refusal> {
        let granted = sender.check(Action::Publish, [topic]);
        Ok(granted.inspect_err(|denial| self.settings.access.count(denial))?)
    }

    /// Whether the sender still is who it was when its request came.
    fn recheck(&self, sender: &Identity) -> Result<(), Refusal> {
        Ok(self.settings.access.recheck(sender, now_ms())?)
    }

    /// A place of `limiter` for one more request, while the broker is there for `topic`; without one, while any of it is.
    fn admit(
        &self,
        limiter: &RequestLimiter,
        sender: &Sender,
        topic: Option<&Topic>,
    ) -> Result<RequestPermit, Refusal> {
        if self.settings.pressure.is_on() {
            return Err(Refusal::memory());
        }
        match topic {
            Some(topic) => self.publisher.available_for(topic)?,
            None => self.publisher.available()?,
        }
        limiter.acquire(sender).map_err(Refusal::no_place)
    }

    /// Whether it is time for one more event of `sender` for `topic`.
    fn keep_pace(&self, sender: &Sender, topic: &Topic) -> Result<(), Refusal> {
        self.pace.take(sender, topic, Instant::now()).map_err(Refusal::early)
    }

    async fn enqueue(&self, event: NewEvent, replicas: Option<u8>) -> Result<Receipt, PublishError> {
        let enqueue = self.publisher.enqueue_replicated(event, replicas);
        let enqueued = tokio::time::timeout(self.settings.queue_wait_max, enqueue).await;
        enqueued.unwrap_or_else(|_| {
            self.publisher.measures().outcome(&Err(PublishError::TooBusy));
            Err(PublishError::TooBusy)
        })
    }

    /// Counts what was refused before the publisher saw it.
    fn count(&self, refusal: &Refusal) {
        let measures = self.publisher.measures();
        match refusal.cause() {
            Some(error) => measures.outcome(&Err(error.clone())),
            None => match refusal.status() {
                401 | 403 => measures.denied(),
                429 => measures.limited(refusal.problem().slug),
                503 => measures.overloaded(refusal.problem().slug),
                _ => measures.malformed(),
            },
        }
    }
}
