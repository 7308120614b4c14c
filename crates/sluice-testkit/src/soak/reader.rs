//! A client of a soak: reads whatever comes, comes back with its cursor, and enters everything into the books.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use sluice_wire::sse::{Item, Received};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::stage::Place;
use crate::books::{ClientBook, Told};
use crate::sse::{SseOptions, SseStream, is_control};

const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// No client waits for so long: the sequence has deadlines of its own.
const FOREVER: Duration = Duration::from_secs(86_400);

/// What a client is.
pub(super) struct Reader {
    pub(super) book: ClientBook,
    pub(super) topics: Vec<String>,
    /// Where it goes in turn.
    pub(super) places: Vec<Place>,
    pub(super) since: Option<String>,
    /// Each change makes it leave and come back at its next place.
    pub(super) moves: watch::Receiver<u64>,
}

impl Reader {
    /// Reads until it is stopped.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        _ = stop.run_until_cancelled(self.read()).await;
        self.book.leave();
    }

    async fn read(&mut self) {
        let (mut cursor, mut visits) = (String::new(), 0);
        loop {
            let place = &self.places[visits % self.places.len()];
            let topics: Vec<_> = self.topics.iter().map(String::as_str).collect();
            let options = SseOptions {
                transport: place.transport.clone(),
                last_event_id: cursor.clone(),
                since: self.since.clone().filter(|_| cursor.is_empty()),
                within: FOREVER,
                ..SseOptions::default()
            };
            if cursor.is_empty() {
                self.book.begins_anew();
            }
            match SseStream::open(place.address, &topics, &options).await {
                Ok(stream) if stream.status() == 200 => {
                    self.book.opened();
                    if self.follow(stream, &mut cursor).await {
                        visits += 1;
                        continue;
                    }
                }
                Ok(stream) if stream.status() == 503 => {}
                Ok(stream) => {
                    let status = stream.status();
                    self.book.fault(format!("was answered {status} with cursor {cursor:?}"));
                    return;
                }
                Err(_) => {}
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Reads one stream to its end; `true` if it is to move on.
    async fn follow(&mut self, mut stream: SseStream, cursor: &mut String) -> bool {
        loop {
            let item = tokio::select! {
                moved = self.moves.changed() => return moved.is_ok(),
                item = stream.next() => item,
            };
            match item {
                Ok(Some(Item::Event(event))) => {
                    cursor.clone_from(&event.last_event_id);
                    if let Err(error) = self.enter(&event) {
                        self.book.fault(format!("{error:#}: {event:?}"));
                    }
                }
                Ok(Some(Item::Id(id))) => *cursor = id,
                Ok(Some(Item::Retry(_) | Item::Comment(_))) => {}
                Ok(Some(Item::Overlong)) => {
                    self.book.fault("an event was too long for the decoder".to_owned());
                }
                Ok(None) | Err(_) => return false,
            }
        }
    }

    fn enter(&self, event: &Received) -> Result<()> {
        if event.event_type == "sluice.gap" {
            let gap: Value = serde_json::from_str(&event.data).context("a gap that is not JSON")?;
            let text = |name: &str| gap.get(name).and_then(Value::as_str);
            let id = |name: &str| text(name).unwrap_or("0-0").parse().context("a gap without ids");
            let reason = text("reason").context("a gap without a reason")?.to_owned();
            self.book.told(text("topic"), &Told { from: id("from")?, to: id("to")?, reason });
        } else if is_control(event) {
            let known = ["sluice.stale", "sluice.live"].contains(&event.event_type.as_str());
            anyhow::ensure!(known, "a control event that is not the node's");
        } else if !self.book.given(&event.data) {
            let by_hand = event.data.starts_with("plain") || event.data.starts_with("forged");
            anyhow::ensure!(by_hand, "an event that was never written");
        }
        Ok(())
    }
}
