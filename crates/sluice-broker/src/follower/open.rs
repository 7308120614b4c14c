//! Opens topics: subscribes, then asks where their logs stand. Whoever asks while a batch is under way shares
//! the next one, so ten thousand callers cost some twenty round trips.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sluice_wire::{EventId, Topic};
use tokio::sync::Notify;
use tracing::warn;

use super::core::Core;
use crate::backoff::Backoff;
use crate::{BrokerError, LogHead};

/// A topic that is being opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The greatest id announced meanwhile.
    pub(super) heard: EventId,
    /// Of those who went away meanwhile, no more than of those who wait.
    waiting: Vec<Weak<Opened>>,
}

impl Opening {
    /// Adds this topic to those that `opened` waits for.
    pub(super) fn wait_for(&mut self, opened: &Arc<Opened>) {
        opened.left.fetch_add(1, Ordering::Relaxed);
        if self.waiting.len() == self.waiting.capacity() {
            self.waiting.retain(|waiting| waiting.strong_count() > 0);
        }
        self.waiting.push(Arc::downgrade(opened));
    }

    pub(super) fn finish(self) {
        for opened in self.waiting.iter().filter_map(Weak::upgrade) {
            if opened.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                opened.all.notify_one();
            }
        }
    }
}

/// The topics that one caller waits for.
#[derive(Debug, Default)]
pub(super) struct Opened {
    left: AtomicUsize,
    all: Notify,
}

impl Opened {
    pub(super) async fn wait(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            self.all.notified().await;
        }
    }
}

/// Opens topics until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => core.end_subscription(),
        () = open_all(&core) => {}
    }
}

async fn open_all(core: &Core) {
    loop {
        let batch = core.shared.topics().take_wanted(core.settings.open_batch_topics.max(1));
        if batch.is_empty() {
            core.shared.wanted.notified().await;
            continue;
        }
        let Some(subscriber) = core.subscriber() else { return };
        subscriber.add(&batch).await;
        // Read before the heads, so that a connection lost meanwhile shows.
        let epoch = core.shared.topics().epoch;
        let found = heads(core, &batch).await;
        let mut locked = core.shared.topics();
        let opened: Vec<_> = batch
            .iter()
            .zip(&found.heads)
            .filter_map(|(topic, head)| locked.opened(topic, *head, epoch, &*core.shared.sink))
            .collect();
        let holes = locked.has_holes();
        let floor_ms = core.confirmed_ms(found.time_ms);
        let floors: Vec<_> = batch.into_iter().map(|topic| (topic, floor_ms)).collect();
        core.shared.sink.confirmed(&floors);
        drop(locked);
        opened.into_iter().for_each(Opening::finish);
        if holes {
            core.shared.holes.notify_one();
        }
    }
}

/// Where logs stood at a moment of the broker's clock, or after it.
struct Found {
    time_ms: u64,
    heads: Vec<LogHead>,
}

/// Where the logs of `topics` stand, however long it takes.
async fn heads(core: &Core, topics: &[Topic]) -> Found {
    match heads_together(core, topics).await {
        Ok(found) => found,
        Err(_) if topics.len() > 1 => {
            let mut all = Found { time_ms: u64::MAX, heads: Vec::with_capacity(topics.len()) };
            for topic in topics {
                let found = heads_together(core, std::slice::from_ref(topic)).await;
                let found = found.unwrap_or_else(|why| unreadable(topic, &why));
                all.time_ms = all.time_ms.min(found.time_ms);
                all.heads.extend(found.heads);
            }
            all
        }
        Err(why) => unreadable(&topics[0], &why),
    }
}

/// Nothing can be read there, so it is followed as if it were empty.
fn unreadable(topic: &Topic, why: &BrokerError) -> Found {
    warn!(topic = topic.as_str(), %why, "The log of the topic cannot be read.");
    Found { time_ms: 0, heads: vec![LogHead::default()] }
}

/// Tries until the broker answers. An error says that a log is none; whatever else fails may be mended, and a
/// guessed position would hand out old events as new.
async fn heads_together(core: &Core, topics: &[Topic]) -> Result<Found, BrokerError> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    let mut told = false;
    loop {
        match clock_then_heads(core, topics).await {
            Err(why) if !matches!(why, BrokerError::Unexpected(_)) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(%why, topics = topics.len(), "Topics cannot be opened yet; this goes on being tried.");
                }
                tokio::time::sleep(backoff.next()).await;
            }
            answer => return answer,
        }
    }
}

/// The clock is asked first: what has an id up to then is within the heads.
async fn clock_then_heads(core: &Core, topics: &[Topic]) -> Result<Found, BrokerError> {
    let time_ms = core.broker.tails(&[], 1).await?.time_ms;
    Ok(Found { time_ms, heads: core.broker.heads(topics).await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_went_away_before_a_topic_was_open_is_forgotten() {
        let mut opening = Opening::default();
        let lasting = Arc::default();
        opening.wait_for(&lasting);
        for _ in 0..10_000 {
            opening.wait_for(&Arc::default());
        }
        assert!(opening.waiting.capacity() < 100, "{}", opening.waiting.capacity());
        opening.finish();
        lasting.wait().await;
    }
}
