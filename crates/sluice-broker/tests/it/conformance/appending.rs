//! Appending.

use std::sync::Arc;

use sluice_broker::{BrokerError, Retention};
use sluice_wire::{ByteString, EventId, EventType, IdempotencyKey, NewEvent};

use crate::stage::{Stage, topic};

pub(super) async fn ids_grow_and_prev_chains(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let ids = stage.fill("t", 0..300).await;
    assert!(ids.is_sorted_by(|a, b| a < b));
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 1000).await.unwrap();
    let mut prev = EventId::ZERO;
    for (n, event) in page.events.iter().enumerate() {
        assert_eq!((event.prev, &*event.data), (Some(prev), n.to_string().as_str()));
        prev = event.id;
    }
    assert_eq!(page.events.len(), 300);
}

pub(super) async fn a_slice_may_hold_many_topics(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let events: Vec<_> =
        (0..100).map(|n| NewEvent::new(topic(&format!("t/{}", n % 7)), n.to_string())).collect();
    for answer in stage.broker.append(&events).await {
        answer.unwrap();
    }
    let page = stage.broker.read(&topic("t/3"), EventId::ZERO, EventId::MAX, 1000).await.unwrap();
    let data: Vec<_> = page.events.iter().map(|event| event.data.to_string()).collect();
    assert_eq!(data, (3..100).step_by(7).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(stage.broker.append(&[]).await.is_empty());
}

pub(super) async fn everything_of_an_event_comes_back(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let new = NewEvent {
        topic: topic("t"),
        event_type: Some(EventType::parse("commande créée 100%").unwrap()),
        data: ByteString::from_static("x"),
        key: None,
        traceparent: Some(ByteString::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
    };
    let id = stage.append(new.clone()).await.id;
    let page = stage.broker.read(&new.topic, id, id, 1).await.unwrap();
    let [event] = page.events.as_slice() else { panic!("{page:?}") };
    assert_eq!((event.id, &event.event_type, &event.traceparent), (id, &new.event_type, &new.traceparent));
}

pub(super) async fn big_and_odd_payloads_come_back(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let big = "abcdefgh".repeat(128 * 1024);
    let payloads = ["", "\n", "a\r\nb\rc\n", "\0", "\u{1}v=1 id=1-0\n", "\u{feff}ü\u{2028}\u{10ffff}", &big];
    for payload in payloads {
        let id = stage.append(NewEvent::new(topic("t"), payload.to_owned())).await.id;
        let page = stage.broker.read(&topic("t"), id, id, 1).await.unwrap();
        assert!(page.events[0].data == *payload, "{:?}", payload.chars().take(20).collect::<String>());
    }
}

pub(super) async fn a_repeated_key_answers_the_first_id(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let with_key = |name: &str, key: &str| NewEvent {
        key: Some(IdempotencyKey::parse(key.to_owned()).unwrap()),
        ..NewEvent::new(topic(name), "x")
    };
    let first = stage.append(with_key("t", "k")).await;
    assert!(!first.repeated);
    for _ in 0..2 {
        let again = stage.append(with_key("t", "k")).await;
        assert_eq!((again.id, again.repeated), (first.id, true));
    }
    assert!(!stage.append(with_key("t", "other")).await.repeated);
    assert!(!stage.append(with_key("u", "k")).await.repeated);
    let twice_in_one = stage.broker.append(&[with_key("v", "k"), with_key("v", "k")]).await;
    assert_eq!(twice_in_one[0].as_ref().unwrap().id, twice_in_one[1].as_ref().unwrap().id);
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 10).await.unwrap();
    assert_eq!(page.events.len(), 2);
}

pub(super) async fn a_key_names_one_event_of_one_sender(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let key = IdempotencyKey::parse("k").unwrap();
    let keyed = |key: &IdempotencyKey, event_type: Option<&str>, data: &str| NewEvent {
        key: Some(key.clone()),
        event_type: event_type.map(|text| EventType::parse(text.to_owned()).unwrap()),
        ..NewEvent::new(topic("t"), data.to_owned())
    };
    let first = stage.append(keyed(&key, Some("a"), "x")).await;
    for other in [keyed(&key, Some("a"), "y"), keyed(&key, Some("b"), "x"), keyed(&key, None, "a\nx")] {
        let answer = stage.broker.append(&[other]).await.remove(0);
        assert!(matches!(answer, Err(BrokerError::KeyReused)), "{answer:?}");
    }
    let traced = NewEvent {
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        ..keyed(&key, Some("a"), "x")
    };
    assert_eq!(stage.append(traced).await.id, first.id, "the trace is not part of the event");
    let of_others = [key.within([1; 16]), key.within([2; 16])].map(|key| keyed(&key, None, "z"));
    for event in of_others {
        let own = stage.append(event.clone()).await;
        assert!(!own.repeated && own.id > first.id);
        assert_eq!(
            (stage.append(event.clone()).await.id, stage.append(event).await.repeated),
            (own.id, true)
        );
    }
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 10).await.unwrap();
    assert_eq!(page.events.len(), 3);
}

pub(super) async fn concurrent_appends_keep_one_chain(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let appending = (0..8).map(|_| {
        let broker = Arc::clone(&stage.broker);
        stage.tracker.spawn(async move {
            for _ in 0..25 {
                let events: Vec<_> = (0..4).map(|_| NewEvent::new(topic("t"), "x")).collect();
                assert!(broker.append(&events).await.iter().all(Result::is_ok));
            }
        })
    });
    for task in appending.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 1000).await.unwrap();
    assert_eq!(page.events.len(), 800);
    assert!(page.events.windows(2).all(|pair| pair[1].prev == Some(pair[0].id)));
}
