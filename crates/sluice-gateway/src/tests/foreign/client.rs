//! A client that reads when it likes, goes away and comes back anywhere, and enters everything into the books.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use http_body::Body as _;
use sluice_testkit::{ClientBook, Told};
use sluice_wire::sse::{Decoder, Item, Received};

use super::op::Begin;
use crate::body::SseBody;
use crate::tests::node::Node;

pub(super) struct Client {
    book: ClientBook,
    topics: Vec<String>,
    begin: Begin,
    body: Option<Pin<Box<SseBody>>>,
    decoder: Decoder,
    cursor: String,
}

impl Client {
    pub(super) fn new(book: ClientBook, topics: Vec<String>, begin: Begin) -> Self {
        Self { book, topics, begin, body: None, decoder: Decoder::new(), cursor: String::new() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.body.is_some()
    }

    /// Whether it has a cursor.
    pub(super) fn has_begun(&self) -> bool {
        !self.cursor.is_empty()
    }

    pub(super) fn open(&mut self, node: &Node) {
        let since = match self.begin {
            Begin::Live => String::new(),
            Begin::Earliest => "&since=earliest".to_owned(),
            Begin::Last(count) => format!("&since=last:{count}"),
        };
        let topics: Vec<_> = self.topics.iter().map(|topic| format!("topic={topic}")).collect();
        if self.cursor.is_empty() {
            self.book.begins_anew();
        }
        self.decoder = Decoder::new();
        self.body = Some(node.open(&(topics.join("&") + &since), &self.cursor));
    }

    pub(super) fn leave(&mut self) {
        self.body = None;
    }

    /// Reads one piece of the body; whether there was one.
    pub(super) async fn read(&mut self) -> bool {
        let Some(body) = &mut self.body else { return false };
        let piece = poll_fn(|context| Poll::Ready(body.as_mut().poll_frame(context))).await;
        match piece {
            Poll::Pending => false,
            Poll::Ready(None) => {
                self.body = None;
                false
            }
            Poll::Ready(Some(frame)) => {
                let mut items = Vec::new();
                self.decoder.feed(&frame.unwrap().into_data().unwrap(), &mut items);
                items.iter().for_each(|item| self.enter(item));
                true
            }
        }
    }

    fn enter(&mut self, item: &Item) {
        match item {
            Item::Id(id) => self.cursor.clone_from(id),
            Item::Event(event) => {
                self.hear(event);
                self.cursor.clone_from(&event.last_event_id);
            }
            _ => {}
        }
        if !self.cursor.is_empty() {
            // From its first cursor on it can say what it has; the head of a stream says nothing in this harness.
            self.book.opened();
        }
    }

    fn hear(&self, event: &Received) {
        match event.event_type.as_str() {
            "sluice.gap" => {
                let gap: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                let id = |name: &str| gap[name].as_str().unwrap_or("0-0").parse().unwrap();
                let reason = gap["reason"].as_str().unwrap().to_owned();
                self.book.told(gap["topic"].as_str(), &Told { from: id("from"), to: id("to"), reason });
            }
            "sluice.stale" | "sluice.live" => {}
            _ if event.data == "forged" || self.book.given(&event.data) => {}
            _ => self.book.fault(format!("was given what was never written: {event:?}")),
        }
    }
}
