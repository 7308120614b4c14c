//! The streams of an experiment: half of one topic, half of several, each read by a client that comes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use serde_json::Value;
use sluice_wire::sse::Received;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::RECOVER_WITHIN;
use crate::continuity::{ClientLedger, Ledger, Start};
use crate::deadline::eventually;
use crate::resuming::Resuming;
use crate::sse::{SseOptions, is_control};

/// Gaps told, by reason.
type Gaps = BTreeMap<String, usize>;

pub(super) struct Audience {
    readers: JoinSet<Result<(Gaps, usize)>>,
    stop: CancellationToken,
    books: Vec<(String, Vec<String>, ClientLedger)>,
}

impl Audience {
    /// Opens the streams, spread over `addresses`; returns when each of them has its first cursor.
    pub(super) async fn gather(
        ledger: &Ledger,
        addresses: &[SocketAddr],
        topics: &[String],
        streams: usize,
        rng: &mut Rng,
    ) -> Result<Self> {
        let mut audience =
            Self { readers: JoinSet::new(), stop: CancellationToken::new(), books: Vec::new() };
        let (connected, mut connecting) = mpsc::unbounded_channel();
        for number in 0..streams {
            let set = draw(topics, number, rng);
            let names: Vec<_> = set.iter().map(String::as_str).collect();
            // Longer than any wait for the audience: then the books tell what is missing, and where.
            let options = SseOptions { within: RECOVER_WITHIN * 4, ..SseOptions::default() };
            let client = Resuming::new(addresses, &names, options).begin_at(number);
            let name = format!("stream {number} of {}", names.join("+"));
            let books = ledger.client(&name, &names, Start::Everything);
            audience.books.push((name, set, books.clone()));
            audience.readers.spawn(read(client, books, connected.clone(), audience.stop.clone()));
        }
        drop(connected);
        for _ in 0..streams {
            if connecting.recv().await.is_none() {
                audience.leave().await?;
                bail!("a stream ended before it began");
            }
        }
        Ok(audience)
    }

    /// Waits until each stream has, of each of its topics, an event that was published after now.
    pub(super) async fn served_again(&mut self, ledger: &Ledger) -> Result<()> {
        let published: BTreeMap<_, _> = self
            .books
            .iter()
            .flat_map(|(_, topics, _)| topics)
            .map(|topic| (topic.clone(), ledger.published(topic)))
            .collect();
        let readers = &mut self.readers;
        let books = &self.books;
        eventually("every stream to be served again", RECOVER_WITHIN, async || {
            if let Some(ended) = readers.try_join_next() {
                return Ok(ended?.map(drop));
            }
            let behind = books.iter().filter(|(_, _, books)| !books.is_beyond(|topic| published[topic]));
            let behind: Vec<_> = behind.map(|(name, ..)| name.as_str()).collect();
            ensure!(behind.is_empty(), "{} have nothing new: {}", behind.len(), behind.join(", "));
            Ok(Ok(()))
        })
        .await?
    }

    /// What each topic's streams had last, for the one who looks for the cause of a failure.
    pub(super) fn trouble(&self, topics: &[String]) -> String {
        let counts: Vec<_> =
            self.books.iter().map(|(name, _, books)| format!("{name}: {} events", books.count())).collect();
        format!("{} topics; {}", topics.len(), counts.join("; "))
    }

    /// Closes all streams; the gaps that they were told and how often they had to come back.
    pub(super) async fn leave(mut self) -> Result<(Gaps, usize)> {
        self.stop.cancel();
        let (mut all, mut reconnections) = (Gaps::new(), 0);
        while let Some(ended) = self.readers.join_next().await {
            let (gaps, came_back) = ended?.context("reading a stream")?;
            for (reason, count) in gaps {
                *all.entry(reason).or_default() += count;
            }
            reconnections += came_back;
        }
        Ok((all, reconnections))
    }
}

/// One topic for every other stream, two or more for the others where there are.
fn draw(topics: &[String], number: usize, rng: &mut Rng) -> Vec<String> {
    let most = topics.len();
    let count = if number.is_multiple_of(2) || most < 2 { 1 } else { rng.usize(2..=most) };
    rng.choose_multiple(topics.iter(), count).into_iter().cloned().collect()
}

async fn read(
    mut client: Resuming,
    books: ClientLedger,
    connected: mpsc::UnboundedSender<()>,
    stop: CancellationToken,
) -> Result<(Gaps, usize)> {
    client.connect().await?;
    // Nobody waits for it any more where another failed.
    let _ = connected.send(());
    let mut gaps = Gaps::new();
    while let Some(event) = stop.run_until_cancelled(client.next()).await {
        let event = event?;
        if event.event_type == "sluice.gap" {
            *gaps.entry(enter_gap(&books, &event)?).or_default() += 1;
        } else if !is_control(&event) {
            books.received(&event.data)?;
        }
    }
    Ok((gaps, client.reconnections()))
}

/// The reason of the gap, entered if it is a rewind.
fn enter_gap(books: &ClientLedger, event: &Received) -> Result<String> {
    let gap: Value = serde_json::from_str(&event.data)?;
    let reason = gap["reason"].as_str().with_context(|| format!("a gap without a reason: {gap}"))?;
    if reason == "rewound" {
        books.rewound(gap["topic"].as_str().with_context(|| format!("a rewind of no topic: {gap}"))?)?;
    }
    Ok(reason.to_owned())
}
