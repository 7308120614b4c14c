//! What most tests begin with: a broker, a publisher in front of it, and the routes on top.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use sluice_access::Access;
use sluice_broker::{Broker, BrokerSettings, BrokerUrl, MemoryBroker};
use sluice_publisher::{Publisher, PublisherSettings, RouteSettings, routes, with_problem_fallbacks};
use sluice_wire::{Event, EventId, NewEvent, Topic, TopicPattern};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::gate::Gate;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn memory() -> MemoryBroker {
    MemoryBroker::new(BrokerSettings::new(BrokerUrl::memory()), TaskTracker::new())
}

pub(crate) fn start(broker: Arc<dyn Broker>, settings: PublisherSettings) -> Publisher {
    Publisher::start(broker, settings, &TaskTracker::new())
}

/// A publisher with one lane behind a gate that is closed.
pub(crate) fn gated(settings: PublisherSettings) -> (Arc<Gate>, Publisher) {
    let gate = Gate::closed(memory());
    let publisher = start(gate.clone(), PublisherSettings { lanes: 1, ..settings });
    (gate, publisher)
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

pub(crate) fn event(name: &str, data: impl Into<String>) -> NewEvent {
    NewEvent::new(topic(name), data.into())
}

pub(crate) async fn log(broker: &dyn Broker, name: &str) -> Vec<Event> {
    broker.read(&topic(name), EventId::ZERO, EventId::MAX, 100_000).await.unwrap().events
}

pub(crate) async fn data(broker: &dyn Broker, name: &str) -> Vec<String> {
    log(broker, name).await.into_iter().map(|event| event.data.to_string()).collect()
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    sluice_testkit::eventually(what, WITHIN, async || condition()).await.unwrap();
}

pub(crate) fn open_to_all() -> RouteSettings {
    let everything = vec![TopicPattern::parse("**").unwrap()];
    RouteSettings { access: Access::open(Vec::new(), everything), ..RouteSettings::default() }
}

pub(crate) fn service(publisher: &Publisher, settings: RouteSettings) -> Router {
    with_problem_fallbacks(routes(publisher.clone(), settings))
}

/// A response, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The last segment of a problem's type; checks that it is a whole problem.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status);
        assert!(!self.json["detail"].as_str().unwrap().is_empty());
        slug(&self.json)
    }
}

/// The last segment of the type of a problem.
pub(crate) fn slug(problem: &Value) -> &str {
    problem["type"].as_str().unwrap().strip_prefix("https://sluice.dev/problems/").unwrap()
}

pub(crate) async fn post(
    service: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    send(service, "POST", path, headers, body).await
}

pub(crate) async fn send(
    service: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = service.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    Answer { status: head.status.as_u16(), headers: head.headers, json }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const TEXT: (&str, &str) = ("content-type", "text/plain");
pub(crate) const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
