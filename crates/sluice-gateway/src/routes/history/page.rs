//! A page of history, made piece by piece: a piece is read and written when hyper asks for one, so a client that
//! reads slowly keeps what was handed to hyper for it and nothing else. A page may end anywhere, since it says where
//! the next one begins: it does so when it is full, and when no more of it can be made.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use sluice_broker::BrokerError;
use sluice_failure::{Place, contain};
use sluice_wire::{Event, EventId, Topic, rfc3339};

use crate::catch_up::{Grant, PageMemory};
use crate::runs::Runs;
use crate::supply::{Supplied, Supplier, supply};

/// A page ends with the event that fills it, however many more were asked for. Bytes of data.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// About as much is made at once, when it is known how large the events are. Bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Events of the first piece, of which nothing is known.
const FIRST_EVENTS: usize = 8;
/// Events of any piece.
const PIECE_EVENTS_MAX: usize = 256;
/// What all pieces of a node may take that were handed to hyper and not yet to their clients. Bytes.
pub(in crate::routes) const HELD_BYTES_MAX: usize = 16 << 20;

#[derive(Serialize)]
struct Entry<'a> {
    id: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: &'a str,
    /// `None` where the id lies after the year 9999: any writer may have chosen it.
    time: Option<String>,
}

/// Why there is no page.
pub(super) enum NoPage {
    /// Clients that read slowly have all the memory that there is.
    Busy,
    Broker(BrokerError),
}

impl NoPage {
    /// For a page that ends early: its client is only told where it goes on.
    fn report(&self) {
        if let Self::Broker(error) = self {
            tracing::warn!(%error, "cannot read on in a log; a page of history ends early");
        }
    }
}

/// The body of a page.
pub(super) struct Pages {
    /// The first piece, until hyper asks.
    first: Option<Bytes>,
    /// Where the rest comes from, if there is any.
    rest: Option<Supplied<Bytes>>,
}

/// What is still to be made of a page.
struct Making {
    runs: Arc<Runs>,
    held: PageMemory,
    topic: Topic,
    /// Everything up to here was handed out.
    at: EventId,
    events_left: usize,
    bytes_left: usize,
    /// Of the next piece.
    events_max: usize,
    is_begun: bool,
    has_events: bool,
    is_done: bool,
}

/// A piece, which counts as held until hyper has let go of it.
struct Piece {
    text: Vec<u8>,
    _grant: Grant,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Pages {
    /// A page of at most `limit` events of `topic` behind `at`. Its first piece is made at once.
    pub(super) async fn begin(
        runs: Arc<Runs>,
        held: PageMemory,
        topic: Topic,
        at: EventId,
        limit: usize,
    ) -> Result<Self, NoPage> {
        let mut making = Making {
            runs,
            held,
            topic,
            at,
            events_left: limit,
            bytes_left: PAGE_BYTES_MAX,
            events_max: FIRST_EVENTS,
            is_begun: false,
            has_events: false,
            is_done: false,
        };
        let first = Some(making.piece().await?);
        if making.is_done {
            return Ok(Self { first, rest: None });
        }
        let (supplier, rest) = supply();
        let tracker = making.runs.tracker.clone();
        tracker.spawn(contain(Place::Stream, making.rest(supplier)));
        Ok(Self { first, rest: Some(rest) })
    }
}

impl Body for Pages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        rest.poll_take(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.rest.is_none() { SizeHint::with_exact(first) } else { SizeHint::default() }
    }
}

impl Making {
    /// Makes the rest, each piece when it is asked for.
    async fn rest(mut self, mut supplier: Supplier<Bytes>) {
        let stop = self.runs.stop.clone();
        while !self.is_done {
            let made = stop.run_until_cancelled(async {
                if supplier.wanted().await {
                    self.piece().await.inspect_err(NoPage::report).ok()
                } else {
                    None
                }
            });
            // Whatever it is that ends it early, the client is told where it goes on.
            let piece = made.await.flatten().unwrap_or_else(|| self.end().into());
            if !supplier.give(piece).await {
                return;
            }
        }
    }

    /// The next events as JSON, with the page's beginning and end where they belong.
    async fn piece(&mut self) -> Result<Bytes, NoPage> {
        let mut grant = self.held.try_grant(PIECE_BYTES).ok_or(NoPage::Busy)?;
        let page = self.read().await.map_err(NoPage::Broker)?;
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            text.extend(b"{\"events\":[");
        }
        let mut largest = 1;
        for event in &page.events {
            if self.bytes_left == 0 {
                break;
            }
            if std::mem::replace(&mut self.has_events, true) {
                text.push(b',');
            }
            self.bytes_left = self.bytes_left.saturating_sub(event.data.len());
            self.at = event.id;
            let before = text.len();
            Entry::of(event).write_to(&mut text);
            largest = largest.max(text.len() - before);
        }
        if self.bytes_left > 0 {
            self.at = page.last.unwrap_or(self.at);
        }
        self.events_max = (PIECE_BYTES / largest).clamp(1, PIECE_EVENTS_MAX);
        if self.bytes_left == 0 || self.events_left == 0 || !page.more {
            text.extend(self.end());
        }
        grant.fit(text.len());
        Ok(Bytes::from_owner(Piece { text, _grant: grant }))
    }

    /// Reads on, with memory and in a reader's place as streams that catch up do.
    async fn read(&mut self) -> Result<sluice_broker::Page, BrokerError> {
        let logs = &self.runs.ground.logs;
        let count = self.events_max.min(self.events_left);
        let mut grant = logs.memory.grant(PIECE_BYTES).await;
        let reader = logs.readers.acquire().await;
        let page = logs.broker.read(&self.topic, self.at.after(), EventId::MAX, count).await?;
        drop(reader);
        grant.cover(page.events.iter().map(|event| event.data.len()).sum());
        self.events_left -= count;
        Ok(page)
    }

    /// The end of the page; offered as `since`, its `next` brings what comes next.
    fn end(&mut self) -> Vec<u8> {
        self.is_done = true;
        format!("],\"next\":\"{}\"}}", self.at).into_bytes()
    }
}

impl<'a> Entry<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            id: event.id.to_string(),
            event_type: event.event_type.as_ref().map_or("message", |t| t.as_str()),
            data: &event.data,
            time: rfc3339(event.id.ms),
        }
    }

    fn write_to(&self, text: &mut Vec<u8>) {
        // Nothing in it can fail to be written.
        let _ = serde_json::to_writer(text, self);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// An id may be any two numbers, since anybody who may XADD chooses it.
        #[test]
        fn an_event_of_any_id_becomes_an_entry(ms: u64, seq: u64) {
            let (id, data) = (EventId::new(ms, seq), "x".into());
            let event = Event { id, prev: None, event_type: None, data, traceparent: None };
            let mut text = Vec::new();
            Entry::of(&event).write_to(&mut text);
            let entry: serde_json::Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&entry["id"], &id.to_string());
            prop_assert_eq!(entry["time"].as_str().map(str::to_owned), rfc3339(ms));
        }
    }
}
