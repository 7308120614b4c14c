//! A client that reads when it likes, goes away in the middle of a frame, comes back anywhere with the cursor
//! that it saw last, and compares every frame with the ledger.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use http_body::Body as _;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::{Decoder, Item, Received};

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

impl Begin {
    /// Who asks for the earliest begins with whatever that is, and is told no gap before it.
    fn may_skip(self, seen: usize, to: usize, trimmed: usize) -> bool {
        matches!(self, Self::Earliest) && seen == 0 && to <= trimmed
    }
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
    body: Option<Pin<Box<SseBody>>>,
    decoder: Decoder,
    cursor: String,
    /// The number of the last event seen or told missing, by topic; `None` before the first cursor.
    seen: Option<Vec<usize>>,
    /// The gap that was told last, by topic and the number of its end, until the cursor behind it comes.
    told: Option<(usize, usize)>,
    pub(super) events: u64,
    pub(super) gaps: u64,
}

impl Client {
    pub(super) fn new(topics: Vec<usize>, begin: Begin) -> Self {
        Self {
            topics,
            begin,
            opened_at: Vec::new(),
            body: None,
            decoder: Decoder::new(),
            cursor: String::new(),
            seen: None,
            told: None,
            events: 0,
            gaps: 0,
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
                    .checked_rem(ledger.newest(first))
                    .map_or_else(String::new, |before| format!("&since={}", ledger.id(first, before + 1)))
            }
        };
        let query = names.collect::<Vec<_>>().join("&") + &since;
        if self.seen.is_none() {
            self.opened_at = self.topics.iter().map(|index| ledger.newest(*index)).collect();
        }
        self.decoder = Decoder::new();
        self.told = None;
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
        }
    }

    /// Whether it has everything there is.
    pub(super) fn is_level(&self, ledger: &Ledger) -> bool {
        let newest = self.topics.iter().map(|index| ledger.newest(*index));
        self.seen.as_ref().is_some_and(|seen| seen.iter().copied().eq(newest))
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
                Item::Id(cursor) => self.moved(&cursor, ledger),
                Item::Event(event) => self.heard(&event, ledger),
                Item::Retry(_) | Item::Comment(_) => {}
                Item::Overlong => panic!("nothing is overlong here"),
            }
        }
        if !self.decoder.last_event_id().is_empty() {
            self.cursor = self.decoder.last_event_id().to_owned();
        }
    }

    fn heard(&mut self, event: &Received, ledger: &Ledger) {
        match event.event_type.as_str() {
            "sluice.gap" => self.told_missing(&event.data, ledger),
            "sluice.stale" | "sluice.live" => {}
            "message" if event.data.starts_with("plain") => {}
            _ => {
                let mut parts = event.data.split(':');
                let (name, number) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
                let place = self.place(name);
                let seen = self.seen.as_mut().expect("a cursor comes before the first event");
                let expected = seen[place] + 1;
                let skips = self.begin.may_skip(seen[place], number - 1, ledger.trimmed(self.topics[place]));
                assert!(number == expected || skips, "{name}: {number} came, not {expected}");
                seen[place] = number;
                self.events += 1;
                self.moved(&event.last_event_id, ledger);
            }
        }
    }

    /// A cursor must say exactly what was seen.
    fn moved(&mut self, text: &str, ledger: &Ledger) {
        let cursor: Cursor = text.parse().unwrap();
        let says = self
            .topics
            .iter()
            .map(|index| ledger.number_at(*index, cursor.position(&topic(*index), self.topics.len())));
        let says: Vec<_> = says.collect();
        match &mut self.seen {
            Some(seen) => {
                if let Some((place, to)) = self.told.take() {
                    seen[place] = to;
                }
                for ((seen, says), index) in seen.iter_mut().zip(&says).zip(&self.topics) {
                    if self.begin.may_skip(*seen, *says, ledger.trimmed(*index)) {
                        *seen = *says;
                    }
                }
                assert_eq!(&says, seen, "the cursor {text} of {:?}", self.topics);
            }
            None => {
                self.begins_right(&says, ledger);
                self.seen = Some(says);
            }
        }
    }

    fn begins_right(&self, at: &[usize], ledger: &Ledger) {
        for ((at, index), before) in at.iter().zip(&self.topics).zip(&self.opened_at) {
            let newest = ledger.newest(*index);
            match self.begin {
                Begin::Live | Begin::After(_) => assert!(*at <= newest),
                Begin::Earliest => assert_eq!(*at, 0),
                Begin::Last(count) => {
                    let last = before.saturating_sub(count)
                        ..=newest.saturating_sub(count).max(ledger.trimmed(*index));
                    assert!(last.contains(at), "{at} is not before the last {count} of {newest}");
                }
            }
        }
    }

    /// A gap is told only of what the log has lost, and only once.
    fn told_missing(&mut self, json: &str, ledger: &Ledger) {
        let gap: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(gap["reason"], "trimmed", "{json}");
        assert!(gap.get("possible").is_none(), "{json}");
        let place = self.place(gap["topic"].as_str().unwrap());
        let index = self.topics[place];
        let to = ledger.number_at(index, gap["to"].as_str().unwrap().parse().unwrap());
        let seen = self.seen.as_ref().expect("a cursor comes before a gap");
        assert!(to <= ledger.trimmed(index), "{json}: of {to}, only {} are gone", ledger.trimmed(index));
        self.told = Some((place, seen[place].max(to)));
        self.gaps += 1;
    }

    fn place(&self, name: &str) -> usize {
        self.topics.iter().position(|index| TOPICS[*index] == name).expect("a topic of the stream")
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
