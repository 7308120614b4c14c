//! The public routes of a gateway.

mod events;
mod expired;
mod history;
mod identify;
mod problem;
mod refusals;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use http::{HeaderName, HeaderValue, Method};
use sluice_access::Access;
use tower_http::cors::{AllowOrigin, CorsLayer, ExposeHeaders};

use self::expired::Comebacks;
pub(crate) use self::problem::Answer;
use self::refusals::RefusalLog;
use crate::catch_up::PageMemory;
use crate::runs::Runs;
use crate::settings::{CorsSettings, Limits};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) runs: Arc<Runs>,
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    /// Whether a browser is told in a stream that its credentials no longer count.
    pub(crate) expired_as_event: bool,
    comebacks: Comebacks,
    /// Memory for pages of history on their way to clients.
    histories: PageMemory,
}

impl Edge {
    pub(crate) fn new(runs: Arc<Runs>, limits: Limits, access: Access, expired_as_event: bool) -> Self {
        let comebacks = Comebacks::new(&limits, Instant::now());
        let histories = PageMemory::new(history::HELD_BYTES_MAX, runs.ground.hub.tallies().clone());
        Self { runs, limits, access, expired_as_event, comebacks, histories }
    }
}

/// `GET /v1/events` and `GET /v1/topics/{topic}/events`, to be served as they are or merged with others.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    Router::new()
        .route(events::PATH, get(events::open).head(events::head).options(events::options))
        .route("/v1/topics/{*rest}", get(history::read))
        .route_layer(from_fn_with_state(edge.clone(), identify::identify))
        .with_state(edge)
}

/// What a public listener serves, for whoever asks it for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// Streams alone.
    Streams,
    /// The way in of events alone.
    Publishing,
    /// Both.
    Both,
}

/// Adds what every public listener answers: preflights and unknown paths. Logs what is refused.
pub fn finish(router: Router, cors: &CorsSettings, serves: Serves) -> Router {
    let router = router
        .fallback(any(move || async move { problem::not_found(serves) }))
        .method_not_allowed_fallback(move || async move { problem::method_not_allowed(serves) })
        .layer(from_fn_with_state(RefusalLog::new(Instant::now()), refusals::log));
    match cors_layer(cors) {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

/// `None` when no other origin may read.
fn cors_layer(settings: &CorsSettings) -> Option<CorsLayer> {
    let origin = match settings.origins.as_slice() {
        [] => return None,
        [any] if any == "*" => AllowOrigin::any(),
        listed => AllowOrigin::list(listed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let last_event_id = HeaderName::from_static("last-event-id");
    let allowed = [
        http::header::AUTHORIZATION,
        http::header::CACHE_CONTROL,
        http::header::CONTENT_TYPE,
        HeaderName::from_static("idempotency-key"),
        last_event_id,
        HeaderName::from_static("sluice-wait-replicas"),
        // Tracing libraries of pages add these to every request.
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("tracestate"),
        HeaderName::from_static("baggage"),
        HeaderName::from_static("sentry-trace"),
    ];
    let exposed = [http::header::LOCATION, http::header::RETRY_AFTER, http::header::WWW_AUTHENTICATE];
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(allowed)
        .expose_headers(ExposeHeaders::list(exposed))
        .allow_credentials(settings.credentials);
    Some(match settings.max_age {
        Some(age) => layer.max_age(age),
        None => layer,
    })
}
