//! What fails in installations of several servers, while events are published and followed.

mod cluster;
mod replicas;
mod sentinel;
mod shard;

use std::sync::Arc;

use sluice_broker::Broker;
use sluice_testkit::eventually;
use sluice_wire::{EventId, IdempotencyKey, NewEvent, Topic};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::journal::{Following, Journal};
use crate::stage::{SOON, Stage, topic};

/// Events of a topic in a test: at least, and at most while what happens meanwhile goes on.
const EVENTS: std::ops::Range<usize> = 500..6_000;

/// Whether enough was published.
fn enough(published: usize, until: &CancellationToken) -> bool {
    published >= EVENTS.end || (published >= EVENTS.start && until.is_cancelled())
}

/// Publishes to a topic `until` all has happened, again with its key where an answer failed; the ids that were
/// acknowledged.
fn publish(stage: &Stage, name: &str, until: &CancellationToken) -> JoinHandle<Vec<EventId>> {
    let until = until.clone();
    let (broker, topic) = (Arc::clone(&stage.broker), topic(name));
    stage.tracker.spawn(async move {
        let mut ids = Vec::new();
        while !enough(ids.len(), &until) {
            let key = IdempotencyKey::parse(format!("k{}", ids.len())).unwrap();
            let event = NewEvent { key: Some(key), ..NewEvent::new(topic.clone(), ids.len().to_string()) };
            if let Ok(appended) = broker.append(&[event]).await.remove(0) {
                ids.push(appended.id);
            } else {
                tokio::task::yield_now().await;
            }
        }
        ids
    })
}

impl Following {
    async fn heard(&self, topic: &Topic, more: usize) {
        let before = self.journal.book(topic).events.len();
        self.journal.wait_for("more events", |j| j.book(topic).events.len() >= before + more).await;
    }

    async fn live(&self) {
        self.journal.wait_for("the link", Journal::is_live).await;
    }
}

/// Everything that the log holds was handed on, in order. What was handed on and is not in the log was lost by
/// Redis, which had acknowledged it: a rewind, and told. How many of the acknowledged were lost so.
async fn assert_true_to_the_log(
    broker: &dyn Broker,
    journal: &Journal,
    topic: &Topic,
    acknowledged: &[EventId],
) -> usize {
    let read = async || broker.read(topic, EventId::ZERO, EventId::MAX, 2 * EVENTS.end).await;
    let log = eventually("the log", SOON, read).await.unwrap();
    let log: Vec<EventId> = log.events.iter().map(|event| event.id).collect();
    eventually("all of the log", SOON, async || {
        let events = journal.book(topic).events;
        log.iter().all(|id| events.contains(id)).then_some(()).ok_or(events.len())
    })
    .await
    .unwrap();
    let book = journal.book(topic);
    let unheard_of = book.events.iter().filter(|id| !log.contains(id)).count();
    if book.gaps.is_empty() {
        assert_eq!(unheard_of, 0, "a rewind was not told");
        assert!(book.events.windows(2).all(|pair| pair[0] < pair[1]), "repeated or reordered");
    }
    assert!(book.gaps.iter().all(|gap| gap.reason.as_str() == "rewound"), "{:?}", book.gaps);
    acknowledged.iter().filter(|id| !log.contains(id)).count()
}
