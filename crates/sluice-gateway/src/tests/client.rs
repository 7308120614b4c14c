//! A client that reads when it likes, goes away in the middle of a frame, comes back anywhere with the cursor
//! that it saw last, and compares every frame with the ledger.

mod judging;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use http_body::Body as _;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::{Decoder, Item};

use super::ledger::{Ledger, TOPICS, topic};
use super::node::Node;
use crate::body::SseBody;

/// Where a client begins that has no cursor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    Live,
    Earliest,
    Last(usize),
    /// Behind an event of the first topic, chosen by this number.
    After(usize),
}

/// What a poll came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Something,
    Nothing,
    /// The node ended the stream.
    End,
}

/// See the module.
pub(super) struct Client {
    /// Indices of its topics.
    topics: Vec<usize>,
    begin: Begin,
    /// The last thing known of the logs when the first stream was opened, by topic.
    opened_at: Vec<usize>,
    /// What failovers had taken back by then.
    lost_before: usize,
    body: Option<Pin<Box<SseBody>>>,
    decoder: Decoder,
    cursor: String,
    /// Whether the stream was asked to fire `sluice.cursor`: every other one of a client is.
    cursor_events: bool,
    /// The last event seen or told missing, by topic; `None` before the first cursor.
    seen: Option<Vec<usize>>,
    /// Whose beginning was asked for: before it, trimming is not told.
    from_earliest: Vec<bool>,
    /// The gaps that were told, by topic and the number of their end, until the cursor behind them comes.
    told: Vec<(usize, usize)>,
    pub(super) events: u64,
    pub(super) gaps: u64,
    pub(super) rewinds: u64,
}

impl Client {
    pub(super) fn new(topics: Vec<usize>, begin: Begin) -> Self {
        Self {
            from_earliest: vec![matches!(begin, Begin::Earliest); topics.len()],
            topics,
            begin,
            opened_at: Vec::new(),
            lost_before: 0,
            body: None,
            decoder: Decoder::new(),
            cursor: String::new(),
            cursor_events: false,
            seen: None,
            told: Vec::new(),
            events: 0,
            gaps: 0,
            rewinds: 0,
        }
    }

    pub(super) fn has_cursor(&self) -> bool {
        !self.cursor.is_empty()
    }

    pub(super) fn is_open(&self) -> bool {
        self.body.is_some()
    }

    /// Opens a stream on `node`, with the cursor if there is one.
    pub(super) fn open(&mut self, node: &Node, ledger: &Ledger) {
        let names = self.topics.iter().map(|index| format!("topic={}", TOPICS[*index]));
        let since = match self.begin {
            Begin::Live => String::new(),
            Begin::Earliest => "&since=earliest".into(),
            Begin::Last(count) => format!("&since=last:{count}"),
            Begin::After(choice) => {
                let first = self.topics[0];
                // Without an event there is nothing to begin behind: live.
                choice
                    .checked_rem(ledger.len(first))
                    .map_or_else(String::new, |place| format!("&since={}", ledger.id_at(first, place)))
            }
        };
        self.cursor_events = !self.cursor_events;
        let form = if self.cursor_events { "&cursor_events=1" } else { "" };
        let query = names.collect::<Vec<_>>().join("&") + &since + form;
        if self.seen.is_none() {
            self.lost_before = ledger.lost;
            self.opened_at = self.topics.iter().map(|index| ledger.len(*index)).collect();
        }
        self.settle_moment(ledger);
        self.decoder = Decoder::new();
        self.told.clear();
        self.body = Some(node.open(&query, &self.cursor));
    }

    /// Goes away; with `partly`, in the middle of what comes next.
    pub(super) async fn drop_stream(&mut self, partly: bool, ledger: &Ledger) {
        if partly && let (Read::Something, bytes) = self.poll().await {
            self.take(&bytes[..bytes.len() / 2], ledger);
        }
        self.body = None;
    }

    /// Reads one piece of the body.
    pub(super) async fn read(&mut self, ledger: &Ledger) -> Read {
        let (read, bytes) = self.poll().await;
        self.take(&bytes, ledger);
        if read == Read::End {
            self.body = None;
        }
        read
    }

    /// Takes a topic out of the set, which the cursor survives.
    pub(super) fn forgo_topic(&mut self) {
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.len() > 1) {
            seen.pop();
            self.topics.pop();
            self.from_earliest.pop();
        }
    }

    /// Puts a topic into the set: it begins at the moment that the cursor vouches for.
    pub(super) fn add_topic(&mut self, index: usize, ledger: &Ledger) {
        let Some(seen) = &mut self.seen else { return };
        // A plain id becomes a moment, which is not checked for what Redis lost.
        let lost = seen.iter().zip(&self.topics).any(|(seen, index)| ledger.is_lost(*index, *seen));
        if self.topics.contains(&index) || (self.topics.len() == 1 && lost) {
            return;
        }
        let cursor: Cursor = self.cursor.parse().unwrap();
        let position = cursor.position(&topic(index), self.topics.len() + 1);
        // It may have been of the set before, and the cursor may name an event of it.
        let at = if matches!(cursor, Cursor::Plain { .. }) { Ledger::present_at } else { Ledger::number_at };
        self.topics.push(index);
        self.from_earliest.push(false);
        seen.push(at(ledger, index, position));
    }

    /// Whether it has everything there is.
    pub(super) fn is_level(&self, ledger: &Ledger) -> bool {
        (0..self.topics.len()).all(|place| {
            let newest = ledger.newest(self.topics[place]);
            let seen = self.seen.as_ref().map(|seen| seen[place]);
            // An empty log tells of what it trimmed when its next event comes.
            let untold = ledger.is_empty(self.topics[place]);
            seen == Some(newest) || untold || self.may_skip(place, newest, ledger)
        })
    }

    async fn poll(&mut self) -> (Read, Vec<u8>) {
        let Some(body) = &mut self.body else { return (Read::Nothing, Vec::new()) };
        poll_fn(|context| {
            Poll::Ready(match body.as_mut().poll_frame(context) {
                Poll::Pending => (Read::Nothing, Vec::new()),
                Poll::Ready(None) => (Read::End, Vec::new()),
                Poll::Ready(Some(frame)) => (Read::Something, frame.unwrap().into_data().unwrap().to_vec()),
            })
        })
        .await
    }

    fn take(&mut self, bytes: &[u8], ledger: &Ledger) {
        let mut items = Vec::new();
        self.decoder.feed(bytes, &mut items);
        for item in items {
            match item {
                Item::Id(cursor) => {
                    assert!(!self.cursor_events, "the cursor {cursor} moved and fired nothing");
                    self.moved(&cursor, ledger);
                }
                Item::Event(event) => self.heard(&event, ledger),
                Item::Retry(_) | Item::Comment(_) => {}
                Item::Overlong => panic!("nothing is overlong here"),
            }
        }
        if !self.decoder.last_event_id().is_empty() {
            self.cursor = self.decoder.last_event_id().to_owned();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("topics", &self.topics)
            .field("begin", &self.begin)
            .field("open", &self.is_open())
            .field("cursor", &self.cursor)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
