//! Appends that wait for replicas: one that stands still, and one that goes on.

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{BrokerError, ReplicaWait, Retention};
use sluice_testkit::{SentinelSet, eventually};
use sluice_wire::{EventId, IdempotencyKey, NewEvent};

use tokio::sync::Notify;

use crate::stage::{SOON, Stage, settings, topic};

fn keyed(key: &str) -> NewEvent {
    NewEvent { key: Some(IdempotencyKey::parse(key).unwrap()), ..NewEvent::new(topic("t"), key.to_owned()) }
}

fn wait(replicas: u8) -> ReplicaWait {
    ReplicaWait { replicas, timeout: Duration::from_millis(300) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_no_replica_has_is_told_and_its_key_waits_again() {
    let set = SentinelSet::builder().down_after(Duration::from_secs(60)).start().await.unwrap();
    let stage = Stage::with(settings(&set.url(), Retention::UNLIMITED), None);
    let broker = &stage.broker;
    eventually("a replica that keeps up", SOON, async || {
        broker.append_replicated(&[keyed("first")], wait(1)).await.remove(0)
    })
    .await
    .unwrap();
    let replica = set.replica().await.unwrap();
    replica.pause().unwrap();
    let answers = broker.append_replicated(&[keyed("a"), keyed("b")], wait(1)).await;
    // What does not wait is not held up by what does.
    let c = [keyed("c")];
    let (waiting, plain) = tokio::join!(broker.append_replicated(&c, wait(1)), stage.append(keyed("plain")));
    replica.resume().unwrap();
    let ids: Vec<EventId> = answers.into_iter().chain(waiting).map(|answer| unreplicated(&answer)).collect();
    assert!(ids[0] < ids[1] && !plain.repeated, "{ids:?} {plain:?}");
    for (key, id) in ["a", "b", "c"].into_iter().zip(&ids) {
        let again = eventually("the replica's confirmation", SOON, async || {
            broker.append_replicated(&[keyed(key)], wait(1)).await.remove(0)
        });
        let again = again.await.unwrap();
        assert_eq!((again.id, again.repeated), (*id, true));
    }
    // One of two, once the one that there is has confirmed in time.
    eventually("one confirmation of two", SOON, async || {
        match broker.append_replicated(&[keyed("d")], wait(2)).await.remove(0) {
            Err(BrokerError::NotReplicated { confirmed: 1, wanted: 2, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_is_told_before_its_replicas_confirm_however_many_wait() {
    let set = SentinelSet::builder().down_after(Duration::from_secs(60)).start().await.unwrap();
    let stage = Stage::with(settings(&set.url(), Retention::UNLIMITED), None);
    let broker = &stage.broker;
    eventually("a replica that keeps up", SOON, async || {
        broker.append_replicated(&[keyed("first")], wait(1)).await.remove(0)
    })
    .await
    .unwrap();
    let replica = set.replica().await.unwrap();
    replica.pause().unwrap();
    let patient = ReplicaWait { replicas: 1, timeout: Duration::from_secs(3) };
    let waiting: Vec<_> = (0..16)
        .map(|n| {
            let (broker, appended) = (broker.clone(), Arc::new(Notify::new()));
            let (event, told) = (keyed(&format!("k{n}")), appended.clone());
            let append = async move { broker.append_and_confirm(&[event], patient, &told).await.remove(0) };
            (stage.tracker.spawn(append), appended)
        })
        .collect();
    for (n, (task, appended)) in waiting.iter().enumerate() {
        appended.notified().await;
        // Later ones may have been told while a busy machine let the time of the first ones run out.
        assert!(n > 0 || !task.is_finished(), "the first was told before its replicas could confirm");
    }
    // Another one finds no connection that is free: it is appended all the same, at once.
    unreplicated(&broker.append_replicated(&[keyed("one-more")], patient).await.remove(0));
    // One that waits for another number has connections of its own, and one that waits for none is not held up.
    let two = broker.append_replicated(&[keyed("two")], wait(2)).await.remove(0);
    assert!(matches!(two, Err(BrokerError::NotReplicated { wanted: 2, .. })), "{two:?}");
    stage.append(keyed("plain")).await;
    let page = broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 100).await.unwrap();
    assert_eq!(page.events.len(), 20);
    replica.resume().unwrap();
    for (task, _) in waiting {
        // Confirmed or not, by when the replica was back: an answer of its own.
        let answer = task.await.unwrap();
        assert!(matches!(answer, Ok(_) | Err(BrokerError::NotReplicated { .. })), "{answer:?}");
    }
    eventually("the connections to serve again", SOON, async || {
        broker.append_replicated(&[keyed("last")], wait(1)).await.remove(0)
    })
    .await
    .unwrap();
}

fn unreplicated<T: std::fmt::Debug>(answer: &Result<T, BrokerError>) -> EventId {
    match answer {
        Err(BrokerError::NotReplicated { id, confirmed: 0, wanted: 1 }) => *id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_embedded_broker_has_no_replicas() {
    let stage = Stage::memory(Retention::UNLIMITED).await;
    let id = unreplicated(&stage.broker.append_replicated(&[keyed("a")], wait(1)).await.remove(0));
    let again = stage.broker.append_replicated(&[keyed("a")], wait(0)).await.remove(0).unwrap();
    assert_eq!((again.id, again.repeated), (id, true));
}
