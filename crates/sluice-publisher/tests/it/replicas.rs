//! `Sluice-Wait-Replicas`: answers that wait for replicas, of which the embedded broker has none.

use sluice_publisher::PublisherSettings;

use crate::stage::{JSON, LINES, TEXT, data, gated, open_to_all, post, service, slug};

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
    let answer = post(&service, "/v1/events", &[LINES, ("sluice-wait-replicas", "16")], lines).await;
    assert_eq!((answer.status, &answer.json["failed"]), (207, &2.into()));
    for (nth, result) in answer.json["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&result["line"], slug(&result["error"])), (&(nth + 1).into(), "replicas-not-confirmed"));
        assert!(result["error"]["id"].as_str().unwrap().contains('-'), "{result}");
    }
    assert_eq!(post(&service, "/v1/events", &[LINES], lines).await.status, 200);
}

#[tokio::test]
async fn a_number_that_is_none_is_named() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    for value in ["", "17", "-1", "256", "one", "1, 2"] {
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
