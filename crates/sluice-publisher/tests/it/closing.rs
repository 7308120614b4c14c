//! Closing finishes what was accepted and accepts nothing more.

use futures_util::FutureExt;
use sluice_publisher::{PublishError, PublisherSettings};

use crate::stage::{data, event, gated, until};

#[tokio::test]
async fn close_answers_everything_accepted() {
    let settings =
        PublisherSettings { queue_events_max: 5, flush_events_max: 2, ..PublisherSettings::default() };
    let (gate, publisher) = gated(settings);
    let mut receipts = Vec::new();
    for n in 0..5 {
        receipts.push(publisher.enqueue(event("t", n.to_string())).await.unwrap());
    }
    let mut waiting = Box::pin(publisher.publish(event("t", "too late")));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut closing = Box::pin(publisher.close());
    assert!(closing.as_mut().now_or_never().is_none());
    assert_eq!(waiting.await, Err(PublishError::Closed));
    assert_eq!(publisher.publish(event("t", "later")).await, Err(PublishError::Closed));
    assert_eq!(publisher.try_publish(event("t", "later")).await, Err(PublishError::Closed));
    gate.open();
    closing.await;
    for receipt in receipts {
        receipt.now_or_never().expect("answered before close returned").unwrap();
    }
    assert_eq!(data(&*gate, "t").await, ["0", "1", "2", "3", "4"]);
    publisher.close().await;
}

#[tokio::test]
async fn an_idle_lane_publishes_what_came_just_before_the_close() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    publisher.publish(event("t", "a")).await.unwrap();
    let receipt = publisher.try_enqueue(event("t", "b")).unwrap();
    publisher.close().await;
    receipt.now_or_never().expect("answered before close returned").unwrap();
    assert_eq!(data(&*gate, "t").await, ["a", "b"]);
}

#[tokio::test]
async fn dropping_the_last_handle_publishes_what_was_accepted() {
    let (gate, publisher) = gated(PublisherSettings::default());
    let first = publisher.enqueue(event("t", "a")).await.unwrap();
    until("the flush", || gate.arrived().len() == 1).await;
    let second = publisher.clone().enqueue(event("t", "b")).await.unwrap();
    drop(publisher);
    gate.open();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(data(&*gate, "t").await, ["a", "b"]);
}
