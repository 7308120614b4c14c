//! Against a real Redis that is killed and started again.

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Broker, BrokerSettings, connect};
use sluice_publisher::{CircuitSettings, PublishError, Publisher, PublisherSettings};
use sluice_testkit::{RedisServer, eventually};
use sluice_wire::{IdempotencyKey, NewEvent};
use tokio_util::task::TaskTracker;

use crate::stage::{WITHIN, data, event};

fn publisher(server: &RedisServer) -> (Arc<dyn Broker>, Publisher) {
    let tracker = TaskTracker::new();
    let broker = connect(BrokerSettings::new(server.url().parse().unwrap()), &tracker).unwrap();
    let circuit = CircuitSettings { pause_min: Duration::from_millis(20), ..CircuitSettings::default() };
    let settings = PublisherSettings { circuit, ..PublisherSettings::default() };
    (broker.clone(), Publisher::start(broker, settings, &tracker))
}

fn keyed(n: usize) -> NewEvent {
    NewEvent { key: Some(IdempotencyKey::parse(format!("key-{n}")).unwrap()), ..event("t", n.to_string()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_are_in_order_and_keys_hold() {
    let server = RedisServer::start().await.unwrap();
    let (broker, publisher) = publisher(&server);
    let first = publisher.publish_all((0..2_000).map(keyed).collect()).await;
    let again = publisher.publish_all((0..2_000).map(keyed).collect()).await;
    for (first, again) in first.iter().zip(&again) {
        let (first, again) = (first.as_ref().unwrap(), again.as_ref().unwrap());
        assert_eq!((first.id, first.repeated, again.repeated), (again.id, false, true));
    }
    assert_eq!(data(&*broker, "t").await, (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>());
    publisher.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_after_a_kill_and_retries_repeat_nothing() {
    let mut server =
        RedisServer::builder().appendonly(true).arg("appendfsync", "always").start().await.unwrap();
    let (broker, publisher) = publisher(&server);
    for n in 0..50 {
        publisher.publish(keyed(n)).await.unwrap();
    }
    server.kill().unwrap();
    let refused = publisher.publish(keyed(50)).await.unwrap_err();
    assert!(
        matches!(refused, PublishError::Unavailable { .. } | PublishError::NotSent { .. }),
        "{refused:?}"
    );
    let open = publisher.available().unwrap_err();
    assert!(open.is_transient(), "{open:?}");
    server.restart().await.unwrap();
    eventually("the circuit to close", WITHIN, async || publisher.available().is_ok()).await.unwrap();
    for n in 0..100 {
        publisher.publish(keyed(n)).await.unwrap();
    }
    assert_eq!(data(&*broker, "t").await, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    publisher.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_refuses_is_refused_for_good() {
    let server = RedisServer::start().await.unwrap();
    let (_broker, publisher) = publisher(&server);
    server.cli(&["SET", "sluice:{t}:log", "not a stream"]).await.unwrap();
    let refused = publisher.publish(event("t", "a")).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Refused(_)), "{refused:?}");
    publisher.publish(event("u", "a")).await.unwrap();
    assert!(publisher.available().is_ok());
}
