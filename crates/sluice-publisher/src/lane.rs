//! A lane: one task, one flush under way. Invariant: the events of a topic all take the same lane, and a lane
//! begins a flush only when its last one was appended or answered, so no event overtakes another of its topic. A flush
//! that was appended and waits for replicas goes on beside the lane: it holds up no other event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::context::FutureExt as _;
use sluice_broker::{Appended, ReplicaWait};
use sluice_wire::NewEvent;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    sending: Sending,
    flush_events_max: usize,
    flush_bytes_max: usize,
    tracker: TaskTracker,
    /// Whom the publisher waits for when it closes.
    running: TaskTracker,
}

impl Lane {
    pub(crate) fn new(
        queue: mpsc::UnboundedReceiver<Queued>,
        sending: Sending,
        settings: &PublisherSettings,
        (tracker, running): (TaskTracker, TaskTracker),
    ) -> Self {
        let flush_events_max = settings.flush_events_max.max(1);
        let flush_bytes_max = settings.flush_bytes_max;
        Self { queue, sending, flush_events_max, flush_bytes_max, tracker, running }
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

    /// Sends a batch; returns when it was answered, or appended if it waits for replicas.
    async fn flush(&self, batch: Vec<Queued>) {
        sluice_failure::drill("publisher");
        let replicas = batch.first().map_or(0, |queued| queued.replicas);
        let (sending, appended) = (self.sending.clone(), Arc::new(Notify::new()));
        if replicas == 0 {
            return sending.send(batch, replicas, &appended).await;
        }
        let told = Arc::clone(&appended);
        let flush = async move { sending.send(batch, replicas, &told).await };
        // The answers are the task's; the lane waits for its end in case nothing is appended.
        let flush = self.tracker.spawn(self.running.track_future(flush));
        tokio::select! {
            () = appended.notified() => {}
            _ = flush => {}
        }
    }
}

/// What a flush needs, beside its lane.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) link: Arc<Link>,
    pub(crate) measures: Arc<Measures>,
    pub(crate) spans: Spans,
    pub(crate) wait_replicas_timeout: Duration,
}

impl Sending {
    async fn send(&self, batch: Vec<Queued>, replicas: u8, appended: &Notify) {
        let oldest = batch.iter().map(|queued| queued.accepted).min().unwrap_or_else(Instant::now);
        let timeout = if replicas > 0 { self.wait_replicas_timeout } else { Duration::ZERO };
        let mut events = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Queued { event, answer, room, .. } in batch {
            events.push(event);
            waiting.push((answer, room));
        }
        let spans = self.spans.flush(&mut events);
        let wait = ReplicaWait { replicas, timeout };
        let results = self.link.append(&events, wait, appended).with_context(spans.context()).await;
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
