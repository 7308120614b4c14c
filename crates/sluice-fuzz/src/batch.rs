//! What publishers send: one event, a batch of lines, a JSON array, as the HTTP service takes them.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use http_body_util::StreamBody;
use serde_json::Value;
use sluice_access::{Access, is_reserved};
use sluice_broker::{Broker, BrokerSettings, BrokerUrl, MemoryBroker};
use sluice_publisher::{
    Publisher, PublisherSettings, RouteSettings, read_event, routes, with_problem_fallbacks,
};
use sluice_wire::{EventId, NewEvent, Topic};
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, assert_problem};

/// Where single events go; batches go where they say.
const TOPIC: &str = "fuzz";
const LINE_BYTES_MAX: usize = 512;
const EVENTS_MAX: usize = 16;

/// The first byte chooses the form, the second how the body is split. Each event has an answer in its place, what
/// is answered as published stands in the log as it was sent, and nothing else stands there.
pub fn batch(bytes: &[u8]) {
    let [choice, piece, body @ ..] = bytes else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::start();
        let pieces = body.chunks(usize::from(*piece).max(1));
        match choice % 4 {
            0 => stage.lines(body, pieces).await,
            1 => stage.array(body, pieces).await,
            2 => stage.one("application/json", body, pieces).await,
            _ => stage.one("text/plain", body, pieces).await,
        }
    });
}

struct Stage {
    broker: Arc<MemoryBroker>,
    router: Router,
}

impl Stage {
    fn start() -> Self {
        let tracker = TaskTracker::new();
        let broker = Arc::new(MemoryBroker::new(BrokerSettings::new(BrokerUrl::memory()), tracker.clone()));
        let publisher = Publisher::start(broker.clone(), PublisherSettings::default(), &tracker);
        let settings = RouteSettings {
            access: Access::open(Vec::new(), vec!["**".parse().unwrap()]),
            line_bytes_max: LINE_BYTES_MAX,
            batch_events_max: EVENTS_MAX,
            ..RouteSettings::default()
        };
        Self { broker, router: with_problem_fallbacks(routes(publisher, settings)) }
    }

    async fn send<'a>(&self, path: &str, media: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Answer {
        let frames: Vec<_> = pieces
            .map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let request = Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, media);
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        Answer::to(&self.router, request.body(body).unwrap()).await
    }

    async fn log(&self, topic: &Topic) -> Vec<(EventId, String)> {
        let page = self.broker.read(topic, EventId::ZERO, EventId::MAX, 1_000).await.unwrap();
        page.events.into_iter().map(|event| (event.id, event.data.to_string())).collect()
    }

    async fn one<'a>(&self, media: &str, body: &[u8], pieces: impl Iterator<Item = &'a [u8]>) {
        let answer = self.send(&format!("/v1/topics/{TOPIC}/events"), media, pieces).await;
        let log = self.log(&TOPIC.parse().unwrap()).await;
        if answer.status != 201 {
            return assert!(log.is_empty());
        }
        if media == "application/json" {
            assert_eq!(body.trim_ascii_start().first(), Some(&b'{'), "only an object is an event");
        }
        let [(id, data)] = &log[..] else { panic!("{log:?}") };
        assert_eq!(answer.json()["id"], id.to_string());
        if media == "text/plain" {
            return assert_eq!(data.as_bytes(), body);
        }
        // What is too deep, or too great a number, for a value is text to the publisher.
        let Ok(sent) = serde_json::from_slice::<Value>(body) else { return };
        match &sent["data"] {
            Value::String(text) => assert_eq!(data, text),
            value => assert_eq!(serde_json::from_str::<Value>(data).unwrap(), *value),
        }
    }

    async fn lines<'a>(&self, body: &[u8], pieces: impl Iterator<Item = &'a [u8]>) {
        let answer = self.send("/v1/events", "application/x-ndjson", pieces).await;
        let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let said = |line: &&[u8]| line.len() > LINE_BYTES_MAX || !line.trim_ascii().is_empty();
        let expected: Vec<_> = lines.filter(said).map(event).collect();
        self.judge(&answer, &expected).await;
    }

    async fn array<'a>(&self, body: &[u8], pieces: impl Iterator<Item = &'a [u8]>) {
        let answer = self.send("/v1/events", "application/json", pieces).await;
        if answer.status >= 400 {
            return;
        }
        let elements: Vec<&serde_json::value::RawValue> = serde_json::from_slice(body).unwrap();
        let expected: Vec<_> = elements.iter().map(|element| whole(element.get().as_bytes())).collect();
        self.judge(&answer, &expected).await;
    }

    /// An answer for each event, in order, and the logs as the answers say.
    async fn judge(&self, answer: &Answer, expected: &[Option<NewEvent>]) {
        let report = answer.json();
        let results = report["results"].as_array().unwrap();
        assert_eq!(
            report["published"].as_u64().unwrap() + report["failed"].as_u64().unwrap(),
            expected.len() as u64
        );
        assert_eq!(answer.status == 200, report["failed"] == 0);
        assert_eq!(results.len(), expected.len().min(EVENTS_MAX + 1));
        let mut logs: Vec<(Topic, Vec<(EventId, String)>)> = Vec::new();
        for (nth, (result, event)) in results.iter().zip(expected).enumerate() {
            if let Some(problem) = result.get("error") {
                let of_another_event =
                    problem["status"] == 422 && event.as_ref().is_some_and(|event| event.key.is_some());
                assert!(event.is_none() || nth >= EVENTS_MAX || of_another_event, "{problem} for {event:?}");
                assert_problem(problem);
                continue;
            }
            let event = event.as_ref().unwrap();
            if logs.iter().all(|(topic, _)| *topic != event.topic) {
                logs.push((event.topic.clone(), self.log(&event.topic).await));
            }
            let (_, log) = logs.iter_mut().find(|(topic, _)| *topic == event.topic).unwrap();
            if result.get("repeated").is_some() {
                assert!(event.key.is_some());
                continue;
            }
            let (id, data) = log.remove(0);
            assert_eq!(
                (result["id"].as_str(), data),
                (Some(id.to_string().as_str()), event.data.to_string())
            );
        }
        assert!(logs.iter().all(|(_, log)| log.is_empty()), "more in the log than was answered");
    }
}

/// The event of a line, if it is one.
fn event(line: &[u8]) -> Option<NewEvent> {
    whole(line).filter(|_| line.len() <= LINE_BYTES_MAX)
}

fn whole(text: &[u8]) -> Option<NewEvent> {
    let event =
        read_event(str::from_utf8(text).ok()?, None).ok().filter(|event| !is_reserved(&event.topic))?;
    assert_eq!(text.trim_ascii_start().first(), Some(&b'{'), "only an object is an event");
    assert!(event.event_type.as_ref().is_none_or(|kind| !kind.as_str().starts_with("sluice.")));
    Some(event)
}
