//! While the broker is away events are refused at once, without asking it; when it is back they go through.

use std::time::{Duration, Instant};

use sluice_publisher::{CircuitSettings, PublishError, Publisher, PublisherSettings};
use tokio_util::task::TaskTracker;

use crate::gate::Gate;
use crate::stage::{JSON, data, event, gated, memory, open_to_all, post, service, topic, until};

/// The broker was asked: nobody knows whether the event is published.
fn unavailable(error: &PublishError) -> bool {
    matches!(error, PublishError::Unavailable { why, retry_after } if why.contains("gate") && !retry_after.is_zero())
}

/// The broker was not asked: the event is not published.
fn not_sent(error: &PublishError) -> bool {
    matches!(error, PublishError::NotSent { why, retry_after } if why.contains("gate") && !retry_after.is_zero())
}

fn settings(pause_min: Duration) -> PublisherSettings {
    let circuit = CircuitSettings { pause_min, ..CircuitSettings::default() };
    PublisherSettings { circuit, flush_events_max: 1, ..PublisherSettings::default() }
}

#[tokio::test]
async fn an_open_circuit_asks_nobody() {
    let (gate, publisher) = gated(settings(Duration::from_secs(3_600)));
    let first = publisher.enqueue(event("t", "asked")).await.unwrap();
    let second = publisher.enqueue(event("t", "queued")).await.unwrap();
    until("the first flush", || gate.arrived().len() == 1).await;
    gate.set_away(true);
    gate.open();
    assert!(unavailable(&first.await.unwrap_err()));
    assert!(not_sent(&second.await.unwrap_err()), "what was queued is refused with it");
    let began = Instant::now();
    assert!(not_sent(&publisher.publish(event("t", "later")).await.unwrap_err()));
    assert!(not_sent(&publisher.available().unwrap_err()));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(gate.arrived(), [["asked"]]);
    publisher.close().await;
}

#[tokio::test]
async fn a_probe_closes_the_circuit_again() {
    let (gate, publisher) = gated(settings(Duration::from_millis(5)));
    gate.open();
    for outage in 0..3 {
        gate.set_away(true);
        assert!(unavailable(&publisher.publish(event("t", "lost")).await.unwrap_err()));
        assert!(publisher.available().is_err());
        gate.set_away(false);
        until("the probe", || publisher.available().is_ok()).await;
        publisher.publish(event("t", outage.to_string())).await.unwrap();
    }
    assert_eq!(data(&*gate, "t").await, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_partition_that_vanishes_refuses_nobody() {
    let (gate, publisher) = gated(settings(Duration::from_secs(3_600)));
    gate.open();
    gate.set_away(true);
    assert!(unavailable(&publisher.publish(event("t", "lost")).await.unwrap_err()));
    assert!(not_sent(&publisher.available_for(&topic("t")).unwrap_err()));
    gate.set_away(false);
    gate.fail_over();
    publisher.publish(event("t", "elsewhere")).await.unwrap();
    assert_eq!(data(&*gate, "t").await, ["elsewhere"]);
    publisher.close().await;
}

#[tokio::test]
async fn the_prober_of_a_partition_that_vanishes_ends() {
    let (gate, tracker) = (Gate::closed(memory()), TaskTracker::new());
    let publisher = Publisher::start(gate.clone(), settings(Duration::from_millis(5)), &tracker);
    gate.open();
    gate.set_away(true);
    assert!(unavailable(&publisher.publish(event("t", "lost")).await.unwrap_err()));
    publisher.close().await;
    tracker.close();
    gate.fail_over();
    // The publisher is there still, and nobody else would end it.
    until("the end of the prober", || tracker.is_empty()).await;
    drop(publisher);
}

#[tokio::test]
async fn http_says_when_to_come_again() {
    let (gate, publisher) = gated(settings(Duration::from_millis(2_500)));
    let service = service(&publisher, open_to_all());
    gate.open();
    gate.set_away(true);
    for _ in 0..2 {
        let answer = post(&service, "/v1/topics/t/events", &[JSON], r#"{"data":1}"#).await;
        assert_eq!(
            (answer.status, answer.problem(), answer.header("retry-after")),
            (503, "broker-unavailable", "3")
        );
        assert_eq!(answer.json["retry_after"], 3);
    }
    let answer = post(&service, "/v1/events", &[JSON], r#"[{"topic":"t","data":1}]"#).await;
    assert_eq!((answer.status, answer.problem()), (503, "broker-unavailable"));
    assert_eq!(gate.arrived().len(), 1);
    publisher.close().await;
    let answer = post(&service, "/v1/topics/t/events", &[JSON], r#"{"data":1}"#).await;
    assert_eq!((answer.status, answer.problem(), answer.header("retry-after")), (503, "shutting-down", "1"));
}
