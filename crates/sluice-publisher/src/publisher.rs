//! The publishing library: accepts events, bounds what waits, and hands each to its topic's lane.
//!
//! Invariant: an event that was accepted is answered, also when the publisher closes meanwhile. Room in the
//! queue is held by the event itself and given back with its answer, so memory is bounded by
//! `queue_events_max` and `queue_bytes_max` whatever the broker does.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use sluice_broker::{Appended, Broker, Partition};
use sluice_wire::{NewEvent, Topic};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::circuit::Open;
use crate::lane::{Lane, Queued, Sending};
use crate::link::Link;
use crate::measure::Measures;
use crate::trace::Spans;
use crate::{PublishError, PublisherSettings};

/// Publishes events to a broker, many at a time. A cheap handle: clones share one queue.
///
/// What concurrent callers publish is appended together: at once while a lane is idle, and otherwise
/// everything that gathered while its last flush was under way. Events of one topic are appended in the
/// order in which they were accepted. When the last handle is dropped, what was accepted is still published.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    settings: PublisherSettings,
    events: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// The part of both that events may hold which wait for more replicas than the settings say.
    waiting_events: Arc<Semaphore>,
    waiting_bytes: Arc<Semaphore>,
    lanes: Vec<mpsc::UnboundedSender<Queued>>,
    hasher: RandomState,
    link: Arc<Link>,
    measures: Arc<Measures>,
    spans: Spans,
    closing: CancellationToken,
    running: TaskTracker,
    _stop_probing: DropGuard,
}

/// The answer to come for an accepted event. Dropping it does not take the event back.
#[derive(Debug)]
#[must_use = "an accepted event may still fail: await its answer"]
pub struct Receipt(oneshot::Receiver<Result<Appended, PublishError>>);

/// A part of the broker that takes no events for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCircuit {
    /// Which; the whole broker unless it is a cluster.
    pub partition: Partition,
    /// What was wrong when it was last asked.
    pub why: String,
    /// When it is asked again.
    pub retry_after: Duration,
}

impl Publisher {
    /// Starts publishing to `broker`. All tasks run on `tracker`.
    #[must_use]
    pub fn start(broker: Arc<dyn Broker>, mut settings: PublisherSettings, tracker: &TaskTracker) -> Self {
        settings.queue_bytes_max = settings.queue_bytes_max.max(settings.event_bytes_max);
        let measures = Arc::new(Measures::new());
        let spans = Spans::new(settings.traced);
        let stop = CancellationToken::new();
        let link = Arc::new(Link::new(broker, settings.circuit.clone(), tracker.clone(), stop.clone()));
        let closing = CancellationToken::new();
        let running = TaskTracker::new();
        let lanes = (0..settings.lanes.max(1))
            .map(|_| {
                let (sender, queue) = mpsc::unbounded_channel();
                let sending = Sending {
                    link: link.clone(),
                    measures: measures.clone(),
                    spans: spans.clone(),
                    wait_replicas_timeout: settings.wait_replicas_timeout,
                };
                let lane = Lane::new(queue, sending, &settings, (tracker.clone(), running.clone()));
                tracker.spawn(running.track_future(lane.run(closing.clone())));
                sender
            })
            .collect();
        Self {
            shared: Arc::new(Shared {
                events: Arc::new(Semaphore::new(settings.queue_events_max.clamp(1, Semaphore::MAX_PERMITS))),
                bytes: Arc::new(Semaphore::new(settings.queue_bytes_max.min(Semaphore::MAX_PERMITS))),
                waiting_events: Arc::new(Semaphore::new(
                    (settings.queue_events_max / 2).clamp(1, Semaphore::MAX_PERMITS),
                )),
                waiting_bytes: Arc::new(Semaphore::new(
                    (settings.queue_bytes_max / 2).clamp(settings.event_bytes_max, Semaphore::MAX_PERMITS),
                )),
                settings,
                lanes,
                hasher: RandomState::new(),
                link,
                measures,
                spans,
                closing,
                running,
                _stop_probing: stop.drop_guard(),
            }),
        }
    }

    /// What of the broker is away, so that its events are refused at once.
    #[must_use]
    pub fn open_circuits(&self) -> Vec<OpenCircuit> {
        let open = self.shared.link.open_circuits();
        let told = open.into_iter().map(|(partition, Open { why, retry_after })| OpenCircuit {
            partition,
            why,
            retry_after,
        });
        told.collect()
    }

    /// Publishes `event` and answers its id. Waits while the queue is full.
    ///
    /// Dropping the future before the event was accepted leaves it unpublished; afterwards it is published
    /// all the same.
    pub async fn publish(&self, event: NewEvent) -> Result<Appended, PublishError> {
        self.enqueue(event).await?.await
    }

    /// Publishes `events`; answers one result an event, in order. Events of one topic keep their order.
    pub async fn publish_all(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, PublishError>> {
        let mut receipts = Vec::with_capacity(events.len());
        for event in events {
            receipts.push(self.enqueue(event).await);
        }
        let mut results = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            results.push(match receipt {
                Ok(receipt) => receipt.await,
                Err(error) => Err(error),
            });
        }
        results
    }

    /// As [`Publisher::publish`], but answers [`PublishError::TooBusy`] when the queue is full.
    pub async fn try_publish(&self, event: NewEvent) -> Result<Appended, PublishError> {
        self.try_enqueue(event)?.await
    }

    /// Waits until there is room for `event` and accepts it.
    pub async fn enqueue(&self, event: NewEvent) -> Result<Receipt, PublishError> {
        self.enqueue_replicated(event, None).await
    }

    /// As [`Publisher::enqueue`]; the event counts as published when as many `replicas` have it, or as the
    /// settings say.
    pub async fn enqueue_replicated(
        &self,
        event: NewEvent,
        replicas: Option<u8>,
    ) -> Result<Receipt, PublishError> {
        let shared = &*self.shared;
        let accepted = async {
            let bytes = shared.admit(&event)?;
            let waiting = if shared.waits_longer(replicas) {
                Some(acquire(&shared.waiting_events, &shared.waiting_bytes, bytes).await?)
            } else {
                None
            };
            let queued = acquire(&shared.events, &shared.bytes, bytes).await?;
            shared.accept(event, Room { _queued: queued, _waiting: waiting }, replicas)
        };
        accepted.await.inspect_err(|error| shared.measures.outcome(&Err(error.clone())))
    }

    /// As [`Publisher::enqueue`], but answers [`PublishError::TooBusy`] when the queue is full.
    pub fn try_enqueue(&self, event: NewEvent) -> Result<Receipt, PublishError> {
        let shared = &*self.shared;
        let accept = || {
            let bytes = shared.admit(&event)?;
            let queued = (
                shared.events.clone().try_acquire_owned().map_err(no_room)?,
                shared.bytes.clone().try_acquire_many_owned(bytes).map_err(no_room)?,
            );
            shared.accept(event, Room { _queued: queued, _waiting: None }, None)
        };
        accept().inspect_err(|error| shared.measures.outcome(&Err(error.clone())))
    }

    /// Accepts nothing more and returns when everything accepted is answered.
    pub async fn close(&self) {
        let shared = &*self.shared;
        shared.events.close();
        shared.bytes.close();
        shared.waiting_events.close();
        shared.waiting_bytes.close();
        shared.closing.cancel();
        shared.running.close();
        shared.running.wait().await;
    }

    /// Whether an event offered now might be sent: an error while every part of the broker is unavailable or after
    /// closing. While some are, [`Publisher::available_for`] tells the topics apart.
    pub fn available(&self) -> Result<(), PublishError> {
        self.shared.available(Link::check)
    }

    /// Whether an event for `topic` offered now would be sent: an error while the broker is unavailable for it
    /// or after closing.
    pub fn available_for(&self, topic: &Topic) -> Result<(), PublishError> {
        self.shared.available(|link| link.check_for(topic))
    }

    /// How much data one event may have, in bytes.
    #[must_use]
    pub fn event_bytes_max(&self) -> usize {
        self.shared.settings.event_bytes_max
    }

    pub(crate) fn measures(&self) -> &Measures {
        &self.shared.measures
    }

    pub(crate) fn spans(&self) -> &Spans {
        &self.shared.spans
    }
}

impl Shared {
    /// Whether `event` may be queued at all, and how many bytes of room it needs.
    fn admit(&self, event: &NewEvent) -> Result<u32, PublishError> {
        let bytes = event.data.len();
        let bytes_max = self.settings.event_bytes_max;
        let needed = u32::try_from(bytes).ok().filter(|_| bytes <= bytes_max);
        let needed = needed.ok_or(PublishError::Invalid { bytes, bytes_max })?;
        self.available(|link| link.check_for(&event.topic))?;
        Ok(needed)
    }

    fn available(&self, check: impl FnOnce(&Link) -> Result<(), Open>) -> Result<(), PublishError> {
        if self.closing.is_cancelled() {
            return Err(PublishError::Closed);
        }
        Ok(check(&self.link)?)
    }

    /// Whether an event would be in the queue for longer than the settings mean events to be: it may not fill it.
    fn waits_longer(&self, replicas: Option<u8>) -> bool {
        replicas.is_some_and(|replicas| replicas > self.settings.wait_replicas)
    }

    fn accept(&self, event: NewEvent, room: Room, replicas: Option<u8>) -> Result<Receipt, PublishError> {
        let replicas = replicas.unwrap_or(self.settings.wait_replicas);
        let (answer, receipt) = oneshot::channel();
        let lane = self.hasher.hash_one(&event.topic) % self.lanes.len() as u64;
        let lane = &self.lanes[usize::try_from(lane).unwrap_or_default()];
        lane.send(Queued { event, replicas, answer, room, accepted: Instant::now() })
            .map_err(|_| PublishError::Closed)?;
        Ok(Receipt(receipt))
    }
}

/// An event's place in the queue; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _queued: Permits,
    _waiting: Option<Permits>,
}

/// For one event, and for its bytes.
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

async fn acquire(
    events: &Arc<Semaphore>,
    bytes: &Arc<Semaphore>,
    count: u32,
) -> Result<Permits, PublishError> {
    let event = events.clone().acquire_owned().await.map_err(|_| PublishError::Closed)?;
    Ok((event, bytes.clone().acquire_many_owned(count).await.map_err(|_| PublishError::Closed)?))
}

#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
fn no_room(error: TryAcquireError) -> PublishError {
    match error {
        TryAcquireError::NoPermits => PublishError::TooBusy,
        TryAcquireError::Closed => PublishError::Closed,
    }
}

impl Future for Receipt {
    type Output = Result<Appended, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A lane answers everything that it took, unless the runtime itself is going down.
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(context)).unwrap_or_else(|_| {
            let why = "the process ended before the broker answered".to_owned();
            Err(PublishError::Unavailable { why, retry_after: Duration::from_secs(1) })
        }))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
