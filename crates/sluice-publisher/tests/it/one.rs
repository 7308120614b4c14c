//! `POST /v1/topics/{topic}/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use sluice_publisher::{PublisherSettings, RouteSettings};
use sluice_wire::EventType;

use crate::stage::{JSON, TEXT, data, event, gated, log, open_to_all, post, service, until};

/// Path, headers, body, and the status and problem to expect.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn an_event_arrives_whole() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let trace = ("traceparent", TRACEPARENT);
    let path = "/v1/topics/orders%2F7/events";
    let first = post(&service, path, &[JSON, trace], r#"{"data":{"id": 1},"type":"order.created"}"#).await;
    assert_eq!((first.status, first.header("content-type")), (201, "application/json"));
    let second = post(&service, &format!("{path}?type=note%20a"), &[TEXT], "a\r\nb").await;
    let third =
        post(&service, path, &[("content-type", "text/plain; charset=utf-8"), ("traceparent", "x")], "")
            .await;
    let events = log(&*gate, "orders/7").await;
    for (answer, event) in [first, second, third].iter().zip(&events) {
        assert_eq!(answer.json["id"], event.id.to_string());
    }
    let read: Vec<_> =
        events.iter().map(|e| (e.event_type.as_ref().map(EventType::as_str), &*e.data)).collect();
    assert_eq!(read, [(Some("order.created"), r#"{"id":1}"#), (Some("note a"), "a\r\nb"), (None, "")]);
    assert_eq!(events[0].traceparent.as_deref(), Some(TRACEPARENT));
    assert_eq!(events[2].traceparent, None);
}

#[tokio::test]
async fn a_repeated_key_answers_the_first_id() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let key = |key| [JSON, ("idempotency-key", key)];
    let first = post(&service, "/v1/topics/t/events", &key("k1"), r#"{"data":"a"}"#).await;
    let again = post(&service, "/v1/topics/t/events", &key("\"k1\""), r#"{"data":"a"}"#).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!((&first.json["id"], &again.json["repeated"]), (&again.json["id"], &true.into()));
    assert_eq!(post(&service, "/v1/topics/t/events", &key("k2"), r#"{"data":"c"}"#).await.status, 201);
    assert_eq!(post(&service, "/v1/topics/u/events", &key("k1"), r#"{"data":"d"}"#).await.status, 201);
    assert_eq!(data(&*gate, "t").await, ["a", "c"]);
}

#[tokio::test]
async fn every_mistake_has_its_problem() {
    let (gate, publisher) = gated(PublisherSettings { event_bytes_max: 100, ..PublisherSettings::default() });
    gate.open();
    let service = service(&publisher, RouteSettings { body_bytes_max: 200, ..open_to_all() });
    let good = r#"{"data":1}"#;
    let large = format!(r#"{{"data":"{}"}}"#, "x".repeat(101));
    let huge = "x".repeat(201);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let lines = ("content-type", "application/x-ndjson");
    let latin = ("content-type", "text/plain; charset=iso-8859-1");
    let path = "/v1/topics/t/events";
    let long = format!("/v1/topics/{}/events", "x".repeat(201));
    let cases: &[Case<'_>] = &[
        ("/v1/topics/%7Bt%7D/events", &[JSON], good.as_bytes(), 400, "invalid-topic"),
        ("/v1/topics//events", &[JSON], good.as_bytes(), 400, "invalid-topic"),
        ("/v1/topics/a/../b/events", &[JSON], good.as_bytes(), 400, "invalid-topic"),
        ("/v1/topics/%2e/events", &[JSON], good.as_bytes(), 400, "invalid-topic"),
        ("/v1/topics/%zz/events", &[JSON], good.as_bytes(), 400, "invalid-topic"),
        (&long, &[JSON], good.as_bytes(), 400, "invalid-topic"),
        (path, &[JSON], b"", 400, "invalid-body"),
        (path, &[JSON], b"{", 400, "invalid-body"),
        (path, &[JSON], br#"{"data":1,"topic":"u"}"#, 400, "invalid-body"),
        (path, &[JSON], b"{\"data\":\"\xff\"}", 400, "invalid-body"),
        (path, &[TEXT], b"\xff", 400, "invalid-body"),
        (path, &[JSON], br#"{"data":1,"type":"a\nb"}"#, 400, "invalid-type"),
        ("/v1/topics/t/events?type=a%0Ab", &[TEXT], b"x", 400, "invalid-type"),
        ("/v1/topics/t/events?type=", &[TEXT], b"x", 400, "invalid-type"),
        ("/v1/topics/t/events?type=a", &[JSON], good.as_bytes(), 400, "invalid-query"),
        ("/v1/topics/t/events?tpe=a", &[TEXT], b"x", 400, "unknown-parameter"),
        ("/v1/topics/t/events?type=a&type=b", &[TEXT], b"x", 400, "invalid-query"),
        (path, &[JSON, ("idempotency-key", "a b")], good.as_bytes(), 400, "invalid-key"),
        (
            path,
            &[JSON, ("idempotency-key", "a"), ("idempotency-key", "a")],
            good.as_bytes(),
            400,
            "invalid-key",
        ),
        (path, &[], good.as_bytes(), 415, "media-type"),
        (path, &[form], good.as_bytes(), 415, "media-type"),
        (path, &[lines], good.as_bytes(), 415, "media-type"),
        (path, &[latin], b"x", 415, "media-type"),
        (path, &[JSON, ("content-encoding", "gzip")], good.as_bytes(), 415, "media-type"),
        (path, &[JSON], large.as_bytes(), 413, "too-large"),
        (path, &[TEXT], huge.as_bytes(), 413, "too-large"),
    ];
    for &(path, headers, body, status, problem) in cases {
        let answer = post(&service, path, headers, Bytes::copy_from_slice(body)).await;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{path} {headers:?} {answer:?}");
    }
    assert_eq!(gate.arrived().len(), 0);
}

#[tokio::test]
async fn a_field_that_is_not_known_is_named() {
    let (_gate, publisher) = gated(PublisherSettings::default());
    let service = service(&publisher, open_to_all());
    let answer = post(&service, "/v1/topics/t/events", &[JSON], r#"{"data":1,"tpye":"x"}"#).await;
    assert!(answer.json["detail"].as_str().unwrap().contains("unknown field `tpye`"), "{answer:?}");
}

#[tokio::test]
async fn a_full_queue_is_a_503_and_requests_are_bounded() {
    let (gate, publisher) = gated(PublisherSettings { queue_events_max: 1, ..PublisherSettings::default() });
    let settings =
        RouteSettings { queue_wait_max: Duration::from_millis(1), requests_max: 2, ..open_to_all() };
    let service = service(&publisher, settings);
    let waiting = post(&service, "/v1/topics/t/events", &[TEXT], "waits");
    let refused = async {
        until("the first flush", || gate.arrived().len() == 1).await;
        let answer = post(&service, "/v1/topics/t/events", &[TEXT], "no room").await;
        assert_eq!((answer.status, answer.problem(), answer.header("retry-after")), (503, "too-busy", "1"));
        // A body that never ends holds the second of two places.
        let endless = stream::pending::<Result<Bytes, Infallible>>();
        let reading = post(&service, "/v1/topics/t/events", &[TEXT], Body::from_stream(endless));
        let third = post(&service, "/v1/topics/t/events", &[TEXT], "no place");
        tokio::select! {
            biased;
            _ = reading => unreachable!("its body never ends"),
            answer = third => assert_eq!((answer.status, answer.problem()), (503, "too-busy")),
        }
        gate.open();
    };
    let (answer, ()) = tokio::join!(waiting, refused);
    assert_eq!(answer.status, 201);
    assert_eq!(data(&*gate, "t").await, ["waits"]);
    publisher.publish(event("t", "on")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_too_long_is_given_up() {
    let (_gate, publisher) = gated(PublisherSettings::default());
    let service = service(&publisher, open_to_all());
    let endless = stream::pending::<Result<Bytes, Infallible>>();
    let answer = post(&service, "/v1/topics/t/events", &[TEXT], Body::from_stream(endless)).await;
    assert_eq!((answer.status, answer.problem()), (408, "body-timeout"));
}
