//! A lane: one task, one flush under way. Invariant: the events of a topic all take the same lane, and a lane
//! begins a flush only when its last one was answered, so no event overtakes another of its topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::context::FutureExt as _;
use sluice_broker::{Appended, ReplicaWait};
use sluice_wire::NewEvent;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::measure::Measures;
use crate::publisher::Room;
use crate::trace::Spans;
use crate::{PublishError, PublisherSettings};

/// An accepted event.
pub(crate) struct Queued {
    pub(crate) event: NewEvent,
    /// How many replicas must have it.
    pub(crate) replicas: u8,
    pub(crate) answer: oneshot::Sender<Result<Appended, PublishError>>,
    pub(crate) room: Room,
    pub(crate) accepted: Instant,
}

pub(crate) struct Lane {
    queue: mpsc::UnboundedReceiver<Queued>,
    link: Arc<Link>,
    measures: Arc<Measures>,
    spans: Spans,
    flush_events_max: usize,
    flush_bytes_max: usize,
    wait_replicas_timeout: Duration,
}

impl Lane {
    pub(crate) fn new(
        queue: mpsc::UnboundedReceiver<Queued>,
        link: Arc<Link>,
        measures: Arc<Measures>,
        spans: Spans,
        settings: &PublisherSettings,
    ) -> Self {
        let flush_events_max = settings.flush_events_max.max(1);
        let flush_bytes_max = settings.flush_bytes_max;
        let wait_replicas_timeout = settings.wait_replicas_timeout;
        Self { queue, link, measures, spans, flush_events_max, flush_bytes_max, wait_replicas_timeout }
    }

    /// Flushes what is queued until the queue is closed and empty.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut gathered = Vec::new();
        loop {
            if gathered.is_empty() && self.gather(&mut gathered, &closing).await == 0 {
                return;
            }
            let later = gathered.split_off(flush_len(&gathered, self.flush_bytes_max));
            self.flush(gathered).await;
            gathered = later;
        }
    }

    /// Takes what has come, waiting for the first event; 0 when nothing will come any more.
    async fn gather(&mut self, gathered: &mut Vec<Queued>, closing: &CancellationToken) -> usize {
        tokio::select! {
            biased;
            () = closing.cancelled() => {}
            count = self.queue.recv_many(gathered, self.flush_events_max) => return count,
        }
        self.queue.close();
        self.queue.recv_many(gathered, self.flush_events_max).await
    }

    async fn flush(&self, batch: Vec<Queued>) {
        sluice_failure::drill("publisher");
        let oldest = batch.iter().map(|queued| queued.accepted).min().unwrap_or_else(Instant::now);
        let replicas = batch.first().map_or(0, |queued| queued.replicas);
        let timeout = if replicas > 0 { self.wait_replicas_timeout } else { Duration::ZERO };
        let mut events = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Queued { event, answer, room, .. } in batch {
            events.push(event);
            waiting.push((answer, room));
        }
        let spans = self.spans.flush(&mut events);
        let results =
            self.link.append(&events, ReplicaWait { replicas, timeout }).with_context(spans.context()).await;
        spans.end(&results);
        debug_assert_eq!(results.len(), waiting.len());
        self.measures.flushed(events.len(), oldest.elapsed());
        for ((answer, room), result) in waiting.into_iter().zip(results) {
            self.measures.outcome(&result);
            drop(room);
            // Whoever asked may have gone away; the event is published all the same.
            let _ = answer.send(result);
        }
    }
}

/// How many of `gathered` go into one flush: as many as fit and wait for as many replicas as the first, at
/// least one.
fn flush_len(gathered: &[Queued], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fitting = gathered.iter().take_while(|queued| {
        bytes += queued.event.data.len();
        bytes <= bytes_max && Some(queued.replicas) == gathered.first().map(|first| first.replicas)
    });
    fitting.count().max(1).min(gathered.len())
}
