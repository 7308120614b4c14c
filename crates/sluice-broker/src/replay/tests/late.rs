//! Replays of a log that grows between the two looks that a verdict needs.

use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::{Appended, CountedBack, Listener, LogHead, Subscriber, Tails};

/// A broker to whose log an event is appended before each look at a head.
#[derive(Debug)]
struct Late(Arc<dyn Broker>);

#[async_trait]
impl Broker for Late {
    async fn heads(&self, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
        let new: Vec<_> =
            topics.iter().map(|topic| NewEvent::new(topic.clone(), "late".to_owned())).collect();
        self.0.append(&new).await;
        self.0.heads(topics).await
    }

    async fn append(&self, events: &[NewEvent]) -> Vec<Result<Appended, BrokerError>> {
        self.0.append(events).await
    }

    async fn read(
        &self,
        topic: &Topic,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Page, BrokerError> {
        self.0.read(topic, from, to, limit).await
    }

    async fn newest_until(&self, topic: &Topic, at: EventId) -> Result<Option<EventId>, BrokerError> {
        self.0.newest_until(topic, at).await
    }

    async fn count_back(
        &self,
        topic: &Topic,
        from: EventId,
        entries: usize,
    ) -> Result<CountedBack, BrokerError> {
        self.0.count_back(topic, from, entries).await
    }

    async fn tails(&self, positions: &[(Topic, EventId)], limit: usize) -> Result<Tails, BrokerError> {
        self.0.tails(positions, limit).await
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        self.0.ping().await
    }

    fn retention(&self, topic: &Topic) -> Retention {
        self.0.retention(topic)
    }

    fn listen(&self, listener: Arc<dyn Listener>) -> Box<dyn Subscriber> {
        self.0.listen(listener)
    }
}

#[tokio::test]
async fn an_event_appended_between_two_looks_is_read_and_not_told_missing() {
    let Stage { broker, topic, .. } = stage(0, Retention::UNLIMITED).await;
    let late = Arc::new(Late(broker.clone()));
    let from = Start::seen(EventId::ZERO);
    let mut replay = Replay::new(late, topic.clone(), from, EventId::MAX, ReplaySettings::default());
    let page = replay.next().await.unwrap().unwrap();
    assert_eq!(page.gap, None);
    let log = broker.read(&topic, EventId::ZERO, EventId::MAX, 9).await.unwrap();
    assert_eq!(page.events[..], log.events[..page.events.len()]);
    assert!(!page.events.is_empty());
}
