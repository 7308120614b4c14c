//! Opens topics: subscribes, then asks where their logs stand. Whoever asks while a batch is under way shares
//! the next one, so ten thousand callers cost some twenty round trips.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluice_wire::{EventId, Topic};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::core::Core;
use super::queues::Queues;
use super::topics::Wanted;
use crate::away::is_away;
use crate::{BrokerError, LogHead, Partition};

/// How long a topic that the server refuses is left alone.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often it is looked whether topics that wait for a subscription have moved to another server.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Topics that nobody waits for any more and that may stand in the queues in any case.
const SPARE: usize = 64;

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

/// Partitions are opened side by side, batch after batch; what waits for one that is away holds up no other.
async fn open_all(core: &Core) {
    let mut waiting = Queues::default();
    let mut refused: Vec<(Instant, Wanted)> = Vec::new();
    let mut under_way = FuturesUnordered::new();
    let mut busy = HashSet::new();
    loop {
        line_up(core, &mut waiting, &mut refused);
        let batch_topics = core.settings.open_batch_topics.max(1);
        let free = |partition: &Partition| !busy.contains(partition) && core.shared.away.claim(partition);
        if let Some((partition, batch)) = waiting.take(batch_topics, free) {
            busy.insert(partition.clone());
            under_way.push(open(core, partition, batch));
            continue;
        }
        let away = waiting.partitions().filter(|partition| !busy.contains(*partition));
        let due = away.filter_map(|partition| core.shared.away.due(partition));
        let due = due.chain(refused.iter().map(|(due, _)| *due)).min();
        tokio::select! {
            () = core.shared.wanted.notified() => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            Some((partition, left)) = under_way.next() => {
                busy.remove(&partition);
                let Left { unread, refused: more } = left;
                unread.into_iter().for_each(|wanted| queue(core, &mut waiting, wanted));
                refused.extend(more.into_iter().map(|wanted| (Instant::now() + ASK_AGAIN, wanted)));
            }
        }
    }
}

/// Adds what is wanted since the last time, and what was refused long enough ago.
fn line_up(core: &Core, waiting: &mut Queues<Wanted>, refused: &mut Vec<(Instant, Wanted)>) {
    let (fresh, topics) = {
        let mut locked = core.shared.topics();
        (locked.take_wanted(), locked.len())
    };
    fresh.into_iter().for_each(|wanted| queue(core, waiting, wanted));
    // While a server is away nobody takes any, and clients may come for one topic after another and go.
    if waiting.len() + refused.len() > SPARE + 2 * topics {
        let locked = core.shared.topics();
        waiting.retain(|wanted| locked.is_wanted(wanted));
        refused.retain(|(_, wanted)| locked.is_wanted(wanted));
    }
    let now = Instant::now();
    for (_, wanted) in refused.extract_if(.., |(due, _)| *due <= now) {
        queue(core, waiting, wanted);
    }
}

fn queue(core: &Core, waiting: &mut Queues<Wanted>, wanted: Wanted) {
    waiting.push(core.broker.partition(&wanted.topic), wanted);
}

/// What of a batch was not opened.
#[derive(Debug, Default)]
struct Left {
    /// Its server is away.
    unread: Vec<Wanted>,
    /// The server refuses these, and not others.
    refused: Vec<Wanted>,
}

/// Opens topics of one partition; those that are still to be opened.
async fn open(core: &Core, partition: Partition, mut batch: Vec<Wanted>) -> (Partition, Left) {
    let Some(subscriber) = core.subscriber() else { return (partition, Left::default()) };
    {
        let locked = core.shared.topics();
        batch.retain(|wanted| locked.is_wanted(wanted));
    }
    let topics: Vec<Topic> = batch.iter().map(|wanted| wanted.topic.clone()).collect();
    if topics.is_empty() {
        // A question about no topic goes to every server, and says nothing of this one.
        core.shared.away.give_back(&partition);
        return (partition, Left::default());
    }
    tokio::select! {
        biased;
        () = moved(core, &partition, &topics) => {
            core.shared.away.give_back(&partition);
            return (partition, Left { unread: batch, ..Left::default() });
        }
        () = subscriber.add(&topics) => {}
    }
    // Read before the heads, so that announcements lost meanwhile show.
    let epoch = core.shared.topics().epoch;
    let found = heads(core, &topics).await;
    core.shared.away.note(&partition, &found);
    match found {
        Ok(found) => {
            opened(core, &batch, &found, epoch);
            let refused = batch.into_iter().zip(&found.heads).filter(|(_, head)| head.is_none());
            let refused = refused.map(|(wanted, _)| wanted).collect();
            (partition, Left { refused, ..Left::default() })
        }
        Err(_) => (partition, Left { unread: batch, ..Left::default() }),
    }
}

/// Waits until one of `topics` is not in `partition` any more: those of a server that is there are not to wait for one
/// that is not.
async fn moved(core: &Core, partition: &Partition, topics: &[Topic]) {
    while topics.iter().all(|topic| core.broker.partition(topic) == *partition) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Says that the topics are open of which a head was found.
fn opened(core: &Core, batch: &[Wanted], found: &Found, epoch: u32) {
    let (mut opened, mut floors) = (Vec::new(), Vec::new());
    let mut locked = core.shared.topics();
    for (wanted, (time_ms, head)) in batch.iter().zip(found.times_ms.iter().zip(&found.heads)) {
        // One that was forgotten and followed anew is subscribed by another batch.
        let Some(head) = head.filter(|_| locked.is_wanted(wanted)) else { continue };
        if let Some(opening) = locked.opened(&wanted.topic, head, epoch, &*core.shared.sink) {
            opened.push(opening);
            floors.push((wanted.topic.clone(), core.confirmed_ms(*time_ms)));
        }
    }
    let holes = locked.has_holes();
    core.shared.sink.confirmed(&floors);
    drop(locked);
    opened.into_iter().for_each(Opening::finish);
    if holes {
        core.shared.holes.notify_one();
    }
}

/// Where logs stood, each at a moment of the broker's clock or after it.
struct Found {
    times_ms: Vec<u64>,
    /// `None` for topics that the server refuses to tell of.
    heads: Vec<Option<LogHead>>,
}

/// Where the logs of `topics` stand. An error says nothing of any of them: it may be mended, and a guessed
/// position would hand out old events as new.
async fn heads(core: &Core, topics: &[Topic]) -> Result<Found, BrokerError> {
    let together = clock_then_heads(core, topics).await;
    let Err(why) = together else { return together };
    if matches!(why, BrokerError::Unavailable(_)) {
        return Err(why);
    }
    // One of them is at fault.
    let many = topics.len();
    let mut all = Found { times_ms: Vec::with_capacity(many), heads: Vec::with_capacity(many) };
    for topic in topics {
        let found = match clock_then_heads(core, std::slice::from_ref(topic)).await {
            Err(BrokerError::Refused(why)) => refused(topic, &why),
            Err(why) if is_away(&why) => return Err(why),
            found => found.unwrap_or_else(|why| unreadable(topic, &why)),
        };
        all.times_ms.extend(found.times_ms);
        all.heads.extend(found.heads);
    }
    Ok(all)
}

/// Nothing can be read there, so it is followed as if it were empty.
fn unreadable(topic: &Topic, why: &BrokerError) -> Found {
    warn!(topic = topic.as_str(), error = %why, "cannot read the log of the topic; following it as if it were empty");
    Found { times_ms: vec![0], heads: vec![Some(LogHead::default())] }
}

fn refused(topic: &Topic, why: &str) -> Found {
    debug!(topic = topic.as_str(), error = why, "cannot open the topic yet; retrying");
    Found { times_ms: vec![0], heads: vec![None] }
}

/// The clocks are asked first: what has an id up to then is within the heads.
async fn clock_then_heads(core: &Core, topics: &[Topic]) -> Result<Found, BrokerError> {
    let ends: Vec<_> = topics.iter().map(|topic| (topic.clone(), EventId::MAX)).collect();
    let time_ms = core.broker.tails(&ends, 1).await?.time_ms;
    let heads = core.broker.heads(topics).await?;
    Ok(Found { times_ms: vec![time_ms; topics.len()], heads: heads.into_iter().map(Some).collect() })
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
