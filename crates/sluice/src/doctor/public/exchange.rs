//! One stream through the public address. Each has a connection of its own, as each of a browser's might.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode, Version, header};
use sluice_wire::Topic;
use sluice_wire::sse::{Decoder, Item};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::cli::http::{Client, Target, query_value, refusal};

/// A variable with a token for topics that are not open to everybody. Never printed.
const TOKEN: &str = "SLUICE_TOKEN";

/// Opens streams of one topic.
pub(super) struct Visitor {
    target: Target,
    topic: String,
    token: Option<String>,
}

/// What came of opening a stream.
pub(super) enum Opened {
    Stream(Box<Stream>),
    /// An answer other than 200.
    Refused {
        head: Head,
        detail: String,
    },
    /// No answer; why.
    Silent(String),
}

/// A response's head, and how long it took.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) after: Duration,
}

impl Head {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An open stream.
pub(super) struct Stream {
    pub(super) head: Head,
    body: Incoming,
    decoder: Decoder,
    read: VecDeque<Item>,
    /// Ends the connection with the stream.
    _client: Client,
}

impl Visitor {
    pub(super) fn new(target: Target, topic: &Topic) -> Self {
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Self { target, topic: query_value(topic.as_str()), token }
    }

    /// Asks for a stream as a browser does, with more header fields.
    pub(super) async fn open(&self, more: &[(&str, &str)], within: Duration) -> Opened {
        let mut client = Client::new(self.target.clone(), TaskTracker::new());
        let request = match self.request(&format!("/v1/events?topic={}", self.topic), more) {
            Ok(request) => request,
            Err(error) => return Opened::Silent(error.to_string()),
        };
        let began = Instant::now();
        let response = match client.send(request, within).await {
            Ok(response) => response,
            Err(error) => return Opened::Silent(error.to_string()),
        };
        let head = Head {
            status: response.status(),
            version: response.version(),
            headers: response.headers().clone(),
            after: began.elapsed(),
        };
        let body = response.into_body();
        if head.status != StatusCode::OK {
            let detail = timeout(within, refusal(head.status, body)).await.unwrap_or_default();
            return Opened::Refused { head, detail };
        }
        Opened::Stream(Box::new(Stream {
            head,
            body,
            decoder: Decoder::new(),
            read: VecDeque::new(),
            _client: client,
        }))
    }

    /// Whether a request with an answer of known length gets one: then the way is open and only streams are held
    /// back.
    pub(super) async fn answers_otherwise(&self, within: Duration) -> bool {
        let mut client = Client::new(self.target.clone(), TaskTracker::new());
        let path = format!("/v1/topics/{}/events?limit=1", self.topic);
        match self.request(&path, &[("accept", "application/json")]) {
            Ok(request) => client.send(request, within).await.is_ok(),
            Err(_) => false,
        }
    }

    fn request(&self, path: &str, more: &[(&str, &str)]) -> Result<Request<Bytes>, hyper::http::Error> {
        let mut request = Request::get(path)
            .header(header::ACCEPT, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-cache");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut request = request.body(Bytes::new())?;
        for (name, value) in more {
            let name: header::HeaderName = name.parse()?;
            request.headers_mut().insert(name, value.parse()?);
        }
        Ok(request)
    }
}

impl Stream {
    /// What comes next, `None` when nothing did within the time given, the reason when the stream has ended.
    pub(super) async fn next(&mut self, within: Duration) -> Result<Option<Item>, String> {
        let until = Instant::now() + within;
        loop {
            if let Some(item) = self.read.pop_front() {
                return Ok(Some(item));
            }
            let frame = match tokio::time::timeout_at(until, self.body.frame()).await {
                Err(_) => return Ok(None),
                Ok(None) => return Err("the response ended".to_owned()),
                Ok(Some(Err(error))) => return Err(format!("the connection broke: {error}")),
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(part) = frame.into_data() {
                let mut items = Vec::new();
                self.decoder.feed(&part, &mut items);
                self.read.extend(items);
            }
        }
    }
}
