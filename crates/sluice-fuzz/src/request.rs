//! Requests for a stream or for history: path, query and headers, as the router of a gateway takes them.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use sluice_access::{Access, ClientAddress};
use sluice_broker::{BrokerSettings, BrokerUrl, MemoryBroker};
use sluice_gateway::{CorsSettings, Gateway, GatewaySettings, Serves, finish, topics_asked_for};
use sluice_wire::{TraceParent, parse_events_path};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::input::assert_message;

const TOPICS_MAX: usize = 64;

/// The first line is the target, each further one a header. Whatever they say, the answer is a stream, a page of
/// history, or a problem that repeats nothing long and no control character.
pub fn request(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    path(target);
    let Ok(uri) = Uri::try_from(target) else { return };
    let headers = headers(lines);
    subscription(uri.query().unwrap_or_default(), &headers);
    if uri.path().starts_with('/') {
        answered(uri, headers);
    }
}

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    });
    let mut headers = HeaderMap::new();
    // As many as the listener takes.
    fields.take(100).for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

fn path(target: &[u8]) {
    let Ok(text) = str::from_utf8(target) else { return };
    let _ = TraceParent::parse(text);
    match parse_events_path(text) {
        Ok(topic) => {
            let plain = format!("/v1/topics/{topic}/events");
            assert_eq!(parse_events_path(&plain), Ok(topic), "{plain}");
        }
        Err(error) => assert_message(&error.to_string()),
    }
}

fn subscription(query: &str, headers: &HeaderMap) {
    match topics_asked_for(query, headers, TOPICS_MAX) {
        Ok(topics) => {
            assert!((1..=TOPICS_MAX).contains(&topics.len()));
            let mut distinct = topics.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), topics.len());
            assert!(topics.iter().all(|topic| !topic.as_str().contains(char::is_control)));
        }
        Err(problem) => {
            assert_eq!(problem.status, 400);
            assert_message(&problem.detail);
        }
    }
}

fn answered(uri: Uri, headers: HeaderMap) {
    static GATEWAY: LazyLock<(Runtime, Router)> = LazyLock::new(start);
    let (runtime, router) = &*GATEWAY;
    let (in_header, query) =
        (headers.contains_key("last-event-id"), uri.query().unwrap_or_default().to_owned());
    let is_stream = uri.path() == "/v1/events";
    let mut request = Request::new(Body::empty());
    (*request.uri_mut(), *request.headers_mut()) = (uri, headers);
    request.extensions_mut().insert(ClientAddress([192, 0, 2, 1].into()));
    let answer = runtime.block_on(Answer::to(router, request));
    assert!(answer.headers.values().all(|value| !value.as_bytes().contains(&b'\n')));
    if answer.status == 200 {
        let media = answer.headers.get(header::CONTENT_TYPE).unwrap();
        assert_eq!(media == "text/event-stream; charset=utf-8", is_stream);
    } else {
        assert!(matches!(answer.status, 400 | 403 | 404 | 406), "{}", answer.status);
    }
    if is_stream && in_header && answer.status == 400 {
        // A cursor in the header never earns a refusal: a browser would give up for good.
        let bare = topics_asked_for(&query, &HeaderMap::new(), TOPICS_MAX);
        assert!(bare.is_err(), "the header was refused: {query}");
    }
}

fn start() -> (Runtime, Router) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let mut settings = GatewaySettings {
        access: Access::open(vec!["**".parse().unwrap()], Vec::new()),
        ..GatewaySettings::default()
    };
    settings.streams.shards = 1;
    (settings.limits.accept_per_second, settings.limits.accept_burst) = (u32::MAX, u32::MAX);
    let broker = MemoryBroker::new(BrokerSettings::new(BrokerUrl::memory()), tracker.clone());
    let inside = runtime.enter();
    let gateway = Gateway::start(Arc::new(broker), settings, &tracker, &stop).unwrap();
    let router = finish(gateway.router(), &CorsSettings::default(), Serves::Streams);
    drop(inside);
    (runtime, router)
}
