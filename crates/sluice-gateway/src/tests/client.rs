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
    /// The last event seen or told missing, by topic; `None` before the first cursor.
    seen: Option<Vec<usize>>,
    /// Whose beginning was asked for: before it, trimming is not told.
    from_earliest: Vec<bool>,
    /// Which are repeated behind a rewind, perhaps from before what the cursor vouches for.
    repeated: Vec<bool>,
    /// The gap that was told last, by topic and the number of its end, until the cursor behind it comes.
    told: Option<(usize, usize)>,
    pub(super) events: u64,
    pub(super) gaps: u64,
    pub(super) rewinds: u64,
}

impl Client {
    pub(super) fn new(topics: Vec<usize>, begin: Begin) -> Self {
        Self {
            from_earliest: vec![matches!(begin, Begin::Earliest); topics.len()],
            repeated: vec![false; topics.len()],
            topics,
            begin,
            opened_at: Vec::new(),
            lost_before: 0,
            body: None,
            decoder: Decoder::new(),
            cursor: String::new(),
            seen: None,
            told: None,
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
        let query = names.collect::<Vec<_>>().join("&") + &since;
        if self.seen.is_none() {
            self.lost_before = ledger.lost;
            self.opened_at = self.topics.iter().map(|index| ledger.len(*index)).collect();
        }
        self.skip_repeats(ledger);
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
            self.from_earliest.pop();
            self.repeated.pop();
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
        self.topics.push(index);
        self.from_earliest.push(false);
        self.repeated.push(false);
        seen.push(ledger.present_at(index, position));
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
                let before = ledger.before(self.topics[place], number);
                // A node that does not know yet what was lost may still hand it out, and tells it later.
                let lost = ledger.is_lost(self.topics[place], number);
                let skips = lost || self.may_skip(place, before, ledger);
                let seen = self.seen.as_mut().expect("a cursor comes before the first event");
                let last = seen[place];
                assert!(
                    before == last || skips,
                    "{name}: {number} came, which is not the next behind {last}"
                );
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
        if self.seen.is_none() {
            self.begins_right(&says, ledger);
            self.seen = Some(says);
            return;
        }
        for (place, says) in says.into_iter().enumerate() {
            let skips = self.may_skip(place, says, ledger);
            let Some(seen) = &mut self.seen else { return };
            match self.told.take_if(|(told, _)| *told == place) {
                Some((_, to)) => seen[place] = to,
                None if skips => seen[place] = says,
                None => {}
            }
            self.repeated[place] &= says > seen[place];
            let right = says == seen[place] || self.repeated[place];
            let (name, seen) = (TOPICS[self.topics[place]], seen[place]);
            assert!(right, "the cursor {text} says {says} of {name}, of which {seen} was seen");
        }
    }

    /// Whoever leaves while events are repeated goes on from what the cursor vouches for.
    fn skip_repeats(&mut self, ledger: &Ledger) {
        let Some(seen) = &mut self.seen else { return };
        let Ok(cursor) = self.cursor.parse::<Cursor>() else { return };
        for (place, repeated) in self.repeated.iter_mut().enumerate() {
            if std::mem::take(repeated) {
                let position = cursor.position(&topic(self.topics[place]), self.topics.len());
                seen[place] = ledger.number_at(self.topics[place], position);
            }
        }
    }

    /// Who asks for the earliest begins with whatever that is, and is told no gap before it.
    fn may_skip(&self, place: usize, to: usize, ledger: &Ledger) -> bool {
        let begins = self.seen.as_ref().is_some_and(|seen| seen[place] == 0);
        begins && self.from_earliest[place] && ledger.is_trimmed(self.topics[place], to)
    }

    fn begins_right(&self, at: &[usize], ledger: &Ledger) {
        for ((at, index), before) in at.iter().zip(&self.topics).zip(&self.opened_at) {
            let (count_to, len) = (ledger.count_to(*index, *at), ledger.len(*index));
            match self.begin {
                Begin::Live | Begin::After(_) => {}
                Begin::Earliest => assert_eq!(*at, 0),
                // What was lost meanwhile makes the last ones others.
                Begin::Last(_) if ledger.lost > self.lost_before => {}
                Begin::Last(count) => {
                    let last =
                        before.saturating_sub(count)..=len.saturating_sub(count).max(ledger.trimmed(*index));
                    assert!(last.contains(&count_to), "{count_to} is not before the last {count} of {len}");
                }
            }
        }
    }

    /// A gap is told only of what the log has lost.
    fn told_missing(&mut self, json: &str, ledger: &Ledger) {
        let gap: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(gap.get("possible").is_none(), "{json}");
        let id = |name: &str| gap[name].as_str().unwrap().parse().unwrap();
        let place = self.place(gap["topic"].as_str().unwrap());
        let index = self.topics[place];
        let seen = self.seen.as_ref().expect("a cursor comes before a gap")[place];
        let to = ledger.present_at(index, id("to"));
        match gap["reason"].as_str() {
            Some("trimmed") => {
                assert!(ledger.is_trimmed(index, to), "{json}: {to} is not gone");
                self.told = Some((place, seen.max(to)));
                self.gaps += 1;
            }
            Some("rewound") => {
                let from = ledger.number_at(index, id("from"));
                assert!(ledger.is_lost(index, from), "{json}: {from} was not lost");
                self.told = Some((place, to));
                self.from_earliest[place] |= to == 0;
                self.repeated[place] = true;
                self.rewinds += 1;
            }
            other => panic!("{other:?}: {json}"),
        }
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
