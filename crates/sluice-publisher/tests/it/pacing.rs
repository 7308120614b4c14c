//! Rates of senders and topics, and a process that is short of memory: what is refused, how, and that nothing
//! of it was published.

use std::sync::Arc;

use axum::Extension;
use sluice_access::{ClientAddress, Pressure, Rate};
use sluice_publisher::{PaceSettings, PublisherSettings, RouteSettings};

use crate::stage::{JSON, LINES, TEXT, data, memory, open_to_all, post, service, slug, start};

/// A rate that brings nothing within a test.
fn at_once(burst: u32) -> Option<Rate> {
    Some(Rate { per_second: 1, burst })
}

fn paced(per_sender: Option<Rate>, per_topic: Option<Rate>) -> RouteSettings {
    RouteSettings { pace: PaceSettings { per_sender, per_topic, ..PaceSettings::default() }, ..open_to_all() }
}

#[tokio::test]
async fn whoever_publishes_too_fast_is_told_when_to_come_back() {
    let broker = Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    let routes = service(&publisher, paced(at_once(2), None));
    let from = |address: &str| routes.clone().layer(Extension(ClientAddress(address.parse().unwrap())));
    let (one, neighbour, other) = (from("2001:db8::1"), from("2001:db8::2"), from("2001:db8:0:1::1"));
    for data in ["a", "b"] {
        assert_eq!(post(&one, "/v1/topics/t/events", &[TEXT], data).await.status, 201);
    }
    let mut published = vec!["a", "b"];
    // One more is due each second, however long this takes.
    let answer = loop {
        let answer = post(&neighbour, "/v1/topics/t/events", &[TEXT], "c").await;
        if answer.status != 201 {
            break answer;
        }
        published.push("c");
        assert!(published.len() < 100, "the rate of a sender is not held");
    };
    assert_eq!((answer.status, answer.problem(), answer.header("retry-after")), (429, "sender-rate", "1"));
    assert_eq!(post(&other, "/v1/topics/t/events", &[TEXT], "d").await.status, 201, "another network");
    published.push("d");
    assert_eq!(data(broker.as_ref(), "t").await, published);
}

#[tokio::test]
async fn each_line_of_a_batch_has_its_own_answer() {
    let broker = Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    let routes = service(&publisher, paced(None, at_once(2)));
    let line = |topic: &str, n: u32| format!("{{\"topic\":\"{topic}\",\"data\":\"{n}\"}}\n");
    let batch = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("a", 5)].map(|(topic, n)| line(topic, n)).concat();
    let answer = post(&routes, "/v1/events", &[LINES], batch).await;
    assert_eq!(
        (answer.status, &answer.json["published"], &answer.json["failed"]),
        (207, &3.into(), &2.into())
    );
    for (place, number) in [(2, 3), (4, 5)] {
        let result = &answer.json["results"][place];
        assert_eq!(
            (result["line"].as_u64(), slug(&result["error"])),
            (Some(number), "topic-rate"),
            "{result}"
        );
    }
    assert_eq!(
        (data(broker.as_ref(), "a").await, data(broker.as_ref(), "b").await),
        (vec!["1".to_owned(), "2".to_owned()], vec!["4".to_owned()])
    );
}

#[tokio::test]
async fn nothing_is_taken_in_while_memory_is_short() {
    let broker = Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    let pressure = Pressure::default();
    let routes = service(&publisher, RouteSettings { pressure: pressure.clone(), ..open_to_all() });
    pressure.set(true);
    for (path, header, body) in [
        ("/v1/topics/t/events", TEXT, "x"),
        ("/v1/events", LINES, "{\"topic\":\"t\",\"data\":1}\n"),
        ("/v1/events", JSON, "[{\"topic\":\"t\",\"data\":1}]"),
    ] {
        let answer = post(&routes, path, &[header], body).await;
        assert_eq!((answer.status, answer.problem()), (503, "memory"));
        assert!(!answer.header("retry-after").is_empty());
    }
    pressure.set(false);
    assert_eq!(post(&routes, "/v1/topics/t/events", &[TEXT], "now").await.status, 201);
    assert_eq!(data(broker.as_ref(), "t").await, ["now"]);
}

/// However deep, however often: an answer, not a stack that overflows.
#[tokio::test]
async fn json_that_is_nested_without_end_is_refused() {
    let publisher = start(Arc::new(memory()), PublisherSettings::default());
    let routes = service(&publisher, open_to_all());
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(100_000);
        for body in [
            deep.clone(),
            format!("{{\"data\":{deep}"),
            format!("{{\"data\":{}1{}}}", "[".repeat(129), "]".repeat(129)),
        ] {
            let answer = post(&routes, "/v1/topics/t/events", &[JSON], body).await;
            assert_eq!((answer.status, answer.problem()), (400, "invalid-body"));
        }
        let answer = post(&routes, "/v1/events", &[JSON], deep).await;
        assert_eq!((answer.status, answer.problem()), (400, "invalid-body"));
    }
}
