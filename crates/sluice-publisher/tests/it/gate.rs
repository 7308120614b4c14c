//! A broker behind a gate: everything reaches the real one, when and if the test lets it through.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sluice_broker::{
    Appended, Broker, BrokerError, CountedBack, Listener, LogHead, MemoryBroker, Page, Partition,
    ReplicaWait, Retention, Subscriber, Tails,
};
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::sync::{Notify, Semaphore};

#[derive(Debug)]
pub(crate) struct Gate {
    broker: MemoryBroker,
    /// A permit lets one append through.
    appends: Semaphore,
    away: AtomicBool,
    /// How often everything moved to another server.
    failovers: AtomicUsize,
    /// The data of each append that arrived, in order of arrival.
    arrived: Mutex<Vec<Vec<String>>>,
    /// Whether replicas confirm what waits for them, once the test gives a permit for each flush.
    confirming: AtomicBool,
    confirmations: Semaphore,
}

impl Gate {
    pub(crate) fn closed(broker: MemoryBroker) -> Arc<Self> {
        let arrived = Mutex::new(Vec::new());
        let (appends, away, failovers) = (Semaphore::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        let (confirming, confirmations) = (AtomicBool::new(false), Semaphore::new(0));
        Arc::new(Self { broker, appends, away, failovers, arrived, confirming, confirmations })
    }

    pub(crate) fn open(&self) {
        self.appends.add_permits(1 << 20);
    }

    /// From now on (or no longer) the broker does not answer.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// From now on appends that wait for replicas have them, after a [`Gate::confirm`] for each flush.
    pub(crate) fn begin_confirming(&self) {
        self.confirming.store(true, Ordering::SeqCst);
    }

    pub(crate) fn confirm(&self) {
        self.confirmations.add_permits(1);
    }

    /// From now on all topics are in another partition, and nothing is in the one before.
    pub(crate) fn fail_over(&self) {
        self.failovers.fetch_add(1, Ordering::SeqCst);
    }

    fn everything(&self) -> Partition {
        match self.failovers.load(Ordering::SeqCst) {
            0 => Partition::WHOLE,
            n => Partition::named(n.to_string()),
        }
    }

    pub(crate) fn arrived(&self) -> Vec<Vec<String>> {
        self.arrived.lock().unwrap().clone()
    }

    fn check(&self) -> Result<(), BrokerError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(BrokerError::Unavailable("the gate is shut".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Broker for Gate {
    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        self.arrived.lock().unwrap().push(events.iter().map(|event| event.data.to_string()).collect());
        self.appends.acquire().await.unwrap().forget();
        match self.check() {
            Ok(()) => self.broker.append(events).await,
            Err(error) => vec![Err(error); events.len()],
        }
    }

    async fn append_and_confirm(
        &self,
        events: &[NewEvent],
        wait: ReplicaWait,
        appended: &Notify,
    ) -> Vec<Result<Appended, BrokerError>> {
        if wait.replicas == 0 || !self.confirming.load(Ordering::SeqCst) {
            return self.append_replicated(events, wait).await;
        }
        let answers = self.append(events).await;
        appended.notify_one();
        self.confirmations.acquire().await.unwrap().forget();
        answers
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        self.check()?;
        self.broker.ping().await
    }

    fn partition(&self, _topic: &Topic) -> Partition {
        self.everything()
    }

    fn partitions(&self) -> Vec<Partition> {
        vec![self.everything()]
    }

    async fn probe(&self, partition: &Partition) -> Result<(), BrokerError> {
        if *partition == self.everything() { self.check() } else { Ok(()) }
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        self.broker.heads(topics).await
    }

    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        self.broker.read(topic, from, to, limit).await
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        self.broker.newest_until(topic, at).await
    }

    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError> {
        self.broker.count_back(topic, from, entries).await
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        self.broker.tails(positions, limit).await
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.broker.retention(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        self.broker.listen(listener)
    }
}
