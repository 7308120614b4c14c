//! `Sluice-Wait-Replicas`: answers that wait for replicas, of which the embedded broker has none.

use futures_util::FutureExt;
use sluice_publisher::{Publisher, PublisherSettings, Receipt};

use crate::stage::{JSON, LINES, TEXT, data, gated, open_to_all, post, service, slug, until};

const PATH: &str = "/v1/topics/t/events";

#[tokio::test]
async fn too_few_replicas_are_a_503_with_the_id_and_the_key_may_be_sent_again() {
    let (gate, publisher) = gated(PublisherSettings { wait_replicas: 1, ..PublisherSettings::default() });
    gate.open();
    let service = service(&publisher, open_to_all());
    let key = ("idempotency-key", "k");
    let refused = post(&service, PATH, &[TEXT, key], "a").await;
    assert_eq!((refused.status, refused.problem()), (503, "replicas-not-confirmed"));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.json["detail"].as_str().unwrap().contains("0 replicas of the 1 wanted"), "{refused:?}");
    // The circuit stays closed: the broker is there.
    publisher.available().unwrap();
    let again = post(&service, PATH, &[TEXT, key, ("sluice-wait-replicas", "0")], "a").await;
    assert_eq!((again.status, &again.json["id"]), (200, &refused.json["id"]));
    let other = post(&service, PATH, &[TEXT, ("sluice-wait-replicas", "0")], "b").await;
    assert_eq!(other.status, 201);
    assert_eq!(data(&*gate, "t").await, ["a", "b"]);
}

#[tokio::test]
async fn in_a_batch_each_event_says_so_of_itself() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let lines = "{\"topic\":\"t\",\"data\":\"a\"}\n{\"topic\":\"t\",\"data\":\"b\"}\n";
    let answer = post(&service, "/v1/events", &[LINES, ("sluice-wait-replicas", "3")], lines).await;
    let counts = ["published", "failed", "unconfirmed"].map(|count| answer.json[count].as_u64());
    assert_eq!((answer.status, counts), (207, [Some(2), Some(0), Some(2)]), "both are in the log");
    for (nth, result) in answer.json["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&result["line"], slug(&result["error"])), (&(nth + 1).into(), "replicas-not-confirmed"));
        assert_eq!(
            (&result["id"], &result["unconfirmed"]),
            (&result["error"]["id"], &true.into()),
            "{result}"
        );
        assert!(result["id"].as_str().unwrap().contains('-'), "{result}");
    }
    assert_eq!(data(&*gate, "t").await, ["a", "b"]);
    assert_eq!(post(&service, "/v1/events", &[LINES], lines).await.status, 200);
}

#[tokio::test]
async fn a_number_that_is_none_is_named() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    for value in ["", "4", "17", "-1", "256", "one", "1, 2"] {
        for path in [PATH, "/v1/events"] {
            let answer = post(&service, path, &[JSON, ("sluice-wait-replicas", value)], "{}").await;
            assert_eq!((answer.status, answer.problem()), (400, "invalid-wait-replicas"), "{value:?}");
            let detail = answer.json["detail"].as_str().unwrap();
            assert!(
                detail.contains("sluice-wait-replicas") && detail.contains(&format!("{value:?}")),
                "{detail}"
            );
        }
    }
    assert_eq!(gate.arrived().len(), 0);
}

#[tokio::test]
async fn a_flush_waits_for_one_number_of_replicas_and_order_stays() {
    let (gate, publisher) = gated(PublisherSettings::default());
    let mut receipts = Vec::new();
    for (text, replicas) in [("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 0)] {
        let event = crate::stage::event("t", text);
        receipts.push(publisher.enqueue_replicated(event, Some(replicas)).await.unwrap());
    }
    gate.open();
    let mut published = Vec::new();
    for receipt in receipts {
        published.push(receipt.await.is_ok());
    }
    assert_eq!(published, [true, true, false, false, true]);
    assert_eq!(data(&*gate, "t").await, ["a", "b", "c", "d", "e"]);
    // What the lane took first may be less than the first run.
    assert_eq!(gate.arrived().iter().rev().take(2).collect::<Vec<_>>(), [&vec!["e"], &vec!["c", "d"]]);
}

async fn enqueue(publisher: &Publisher, text: &str, replicas: u8) -> Receipt {
    publisher.enqueue_replicated(crate::stage::event("t", text), Some(replicas)).await.unwrap()
}

#[tokio::test]
async fn what_waits_for_replicas_holds_up_nothing_else_not_even_of_its_topic() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    gate.begin_confirming();
    let first = enqueue(&publisher, "a", 1).await;
    let second = enqueue(&publisher, "b", 1).await;
    // There is one lane, and nobody has confirmed anything.
    assert!(enqueue(&publisher, "c", 0).await.await.is_ok());
    let third = enqueue(&publisher, "d", 2).await;
    assert!(enqueue(&publisher, "e", 0).await.await.is_ok());
    assert_eq!(data(&*gate, "t").await, ["a", "b", "c", "d", "e"], "the order is that of acceptance");
    for _ in 0..3 {
        gate.confirm();
    }
    for receipt in [first, second, third] {
        receipt.await.unwrap();
    }
    // Closing waits for what waits.
    let last = enqueue(&publisher, "f", 1).await;
    let mut closing = Box::pin(publisher.close());
    until("the last event", || gate.arrived().last() == Some(&vec!["f".to_owned()])).await;
    assert!(closing.as_mut().now_or_never().is_none());
    gate.confirm();
    closing.await;
    last.await.unwrap();
}

#[tokio::test]
async fn what_waits_does_not_fill_the_queue() {
    let (gate, publisher) = gated(PublisherSettings { queue_events_max: 4, ..PublisherSettings::default() });
    gate.open();
    gate.begin_confirming();
    let event = |text: &str| crate::stage::event("t", text);
    let mut receipts = Vec::new();
    for text in ["a", "b"] {
        receipts.push(publisher.enqueue_replicated(event(text), Some(1)).await.unwrap());
    }
    let mut waiting = Box::pin(publisher.enqueue_replicated(event("c"), Some(1)));
    assert!(waiting.as_mut().now_or_never().is_none(), "half of the queue is for those that do not wait");
    publisher.try_publish(event("d")).await.unwrap();
    for _ in 0..3 {
        gate.confirm();
    }
    receipts.push(waiting.await.unwrap());
    for receipt in receipts {
        receipt.await.unwrap();
    }
}
