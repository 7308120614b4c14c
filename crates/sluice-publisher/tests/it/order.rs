//! Events of a topic never overtake each other, and what gathers is flushed together.

use std::sync::Arc;

use futures_util::future::join_all;
use sluice_publisher::PublisherSettings;

use crate::stage::{data, event, gated, memory, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_producer_finds_its_events_in_its_order() {
    let broker = Arc::new(memory());
    let publisher =
        start(broker.clone(), PublisherSettings { flush_events_max: 7, ..PublisherSettings::default() });
    let producers = (0..16).map(|producer| {
        let publisher = publisher.clone();
        async move {
            let topics = [format!("own/{producer}"), "shared/a".to_owned(), "shared/b".to_owned()];
            let mut receipts = Vec::new();
            for n in 0..300 {
                for topic in &topics {
                    receipts.push(publisher.enqueue(event(topic, format!("{producer} {n}"))).await.unwrap());
                }
            }
            let ids = join_all(receipts).await;
            for lane in 0..3 {
                let ids: Vec<_> =
                    ids.iter().skip(lane).step_by(3).map(|id| id.as_ref().unwrap().id).collect();
                assert!(ids.is_sorted_by(|a, b| a < b));
            }
        }
    });
    let tracker = tokio_util::task::TaskTracker::new();
    for ended in join_all(producers.map(|producer| tracker.spawn(producer))).await {
        ended.unwrap();
    }
    for (topic, producers) in [("shared/a", 0..16), ("shared/b", 0..16), ("own/7", 7..8)] {
        let data = data(&*broker, topic).await;
        assert_eq!(data.len(), 300 * producers.len());
        for producer in producers {
            let prefix = format!("{producer} ");
            let numbers: Vec<_> = data.iter().filter_map(|data| data.strip_prefix(&prefix)).collect();
            assert_eq!(numbers, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn what_gathers_during_a_flush_goes_out_together() {
    let (gate, publisher) = gated(PublisherSettings::default());
    let first = publisher.enqueue(event("t", "first")).await.unwrap();
    until("the first flush", || gate.arrived().len() == 1).await;
    // Few enough to be accepted within one turn of the runtime, so before the gate opens.
    let rest: Vec<_> = (0..50).map(|n| event(["t", "u"][n % 2], n.to_string())).collect();
    let rest = publisher.publish_all(rest);
    let all = async {
        gate.open();
        first.await.unwrap();
    };
    let (results, ()) = tokio::join!(rest, all);
    assert!(results.iter().all(Result::is_ok));
    let arrived: Vec<usize> = gate.arrived().iter().map(Vec::len).collect();
    assert_eq!(arrived, [1, 50]);
}

#[tokio::test]
async fn a_flush_is_bounded_in_events_and_bytes() {
    let limits =
        PublisherSettings { flush_events_max: 3, flush_bytes_max: 10, ..PublisherSettings::default() };
    let (gate, publisher) = gated(limits);
    let first = publisher.enqueue(event("t", "first")).await.unwrap();
    until("the first flush", || gate.arrived().len() == 1).await;
    let sent = ["1", "2", "3", "4", "123456789", "12", "longer than ten", "x"];
    let mut receipts = vec![first];
    for data in sent {
        receipts.push(publisher.enqueue(event("t", data)).await.unwrap());
    }
    gate.open();
    join_all(receipts).await;
    let flushes = gate.arrived();
    assert_eq!(flushes[1..].concat(), sent);
    for flush in &flushes {
        let bytes: usize = flush.iter().map(String::len).sum();
        assert!(flush.len() <= 3 && (bytes <= 10 || flush.len() == 1), "{flush:?}");
    }
}
