//! What waits is bounded: a full queue makes `publish` wait and `try_publish` refuse.

use futures_util::FutureExt;
use sluice_publisher::{PublishError, PublisherSettings};

use crate::stage::{data, event, gated, until};

#[tokio::test]
async fn a_full_queue_makes_publishers_wait() {
    let (gate, publisher) = gated(PublisherSettings { queue_events_max: 3, ..PublisherSettings::default() });
    let mut receipts = Vec::new();
    for n in 0..3 {
        receipts.push(publisher.enqueue(event("t", n.to_string())).await.unwrap());
    }
    assert_eq!(publisher.try_publish(event("t", "refused")).await, Err(PublishError::TooBusy));
    let mut waiting = Box::pin(publisher.publish(event("t", "3")));
    let mut given_up = Box::pin(publisher.publish(event("t", "given up")));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(given_up.as_mut().now_or_never().is_none());
    drop(given_up);
    gate.open();
    waiting.await.unwrap();
    publisher.try_publish(event("t", "4")).await.unwrap();
    assert_eq!(data(&*gate, "t").await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn bytes_count_as_well_as_events() {
    let limits =
        PublisherSettings { queue_bytes_max: 10, event_bytes_max: 8, ..PublisherSettings::default() };
    let (gate, publisher) = gated(limits);
    let first = publisher.try_enqueue(event("t", "12345678")).unwrap();
    assert_eq!(publisher.try_enqueue(event("t", "123")).unwrap_err(), PublishError::TooBusy);
    let second = publisher.try_enqueue(event("t", "12")).unwrap();
    assert!(publisher.try_enqueue(event("t", "")).is_ok(), "an empty event takes no bytes");
    gate.open();
    first.await.unwrap();
    second.await.unwrap();
    publisher.try_publish(event("t", "123")).await.unwrap();
}

#[tokio::test]
async fn an_oversize_event_is_refused_for_good() {
    let limits = PublisherSettings { queue_bytes_max: 1, event_bytes_max: 8, ..PublisherSettings::default() };
    let (gate, publisher) = gated(limits);
    gate.open();
    let refused = publisher.publish(event("t", "123456789")).await.unwrap_err();
    assert_eq!(refused, PublishError::Invalid { bytes: 9, bytes_max: 8 });
    assert!(!refused.is_transient());
    publisher.publish(event("t", "12345678")).await.unwrap();
}

#[tokio::test]
async fn an_accepted_event_is_published_though_nobody_waits() {
    let (gate, publisher) = gated(PublisherSettings::default());
    drop(publisher.enqueue(event("t", "orphan")).await.unwrap());
    until("the flush", || gate.arrived().len() == 1).await;
    gate.open();
    publisher.publish(event("t", "next")).await.unwrap();
    assert_eq!(data(&*gate, "t").await, ["orphan", "next"]);
}
