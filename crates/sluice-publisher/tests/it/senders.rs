//! What a sender may say of its events, and whose its idempotency keys are.

use std::sync::Arc;

use axum::{Extension, Router};
use sluice_access::{Grants, Identity};
use sluice_publisher::PublisherSettings;
use sluice_wire::TopicPattern;

use crate::stage::{JSON, LINES, TEXT, data, gated, open_to_all, post, service, slug};

const PATH: &str = "/v1/topics/t/events";

fn sender(service: &Router, issuer: Option<&str>, subject: Option<&str>) -> Router {
    let grants = Arc::new(Grants { publish: vec![TopicPattern::parse("**").unwrap()], ..Grants::default() });
    let (issuer, subject) = (issuer.map(Into::into), subject.map(Into::into));
    service.clone().layer(Extension(Identity { issuer, subject, ..Identity::anonymous(grants) }))
}

#[tokio::test]
async fn no_way_in_takes_a_type_of_the_server() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let text = "/v1/topics/t/events?type=sluice.expired";
    for (path, media, body) in [(PATH, JSON, r#"{"data":"{}","type":"sluice.expired"}"#), (text, TEXT, "{}")]
    {
        let answer = post(&service, path, &[media], body).await;
        assert_eq!((answer.status, answer.problem()), (400, "reserved-type"), "{path}");
    }
    let event = r#"{"topic":"t","data":"{}","type":"sluice.gap"}"#;
    for (media, body) in [(LINES, event.to_owned()), (JSON, format!("[{event}]"))] {
        let answer = post(&service, "/v1/events", &[media], body).await;
        assert_eq!((answer.status, slug(&answer.json["results"][0]["error"])), (207, "reserved-type"));
    }
    assert_eq!(gate.arrived().len(), 0);
}

#[tokio::test]
async fn an_array_is_no_event_wherever_it_stands() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let answer = post(&service, PATH, &[JSON], r#"["x","y"]"#).await;
    assert_eq!((answer.status, answer.problem()), (400, "invalid-body"));
    let line = r#"["t","x","y"]"#;
    for (media, body) in
        [(LINES, line.to_owned()), (JSON, format!("[{line}]")), (JSON, format!("[[{line}]]"))]
    {
        let answer = post(&service, "/v1/events", &[media], body).await;
        let error = &answer.json["results"][0]["error"];
        assert_eq!((answer.status, slug(error)), (207, "invalid-body"));
        assert!(error["detail"].as_str().unwrap().contains("must be a JSON object, not an array"), "{error}");
    }
    assert_eq!(gate.arrived().len(), 0);
}

#[tokio::test]
async fn a_key_is_the_senders_own_and_of_one_event() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let key = ("idempotency-key", "order-1");
    let senders = [
        sender(&service, None, None),
        sender(&service, None, Some("a")),
        sender(&service, Some("i"), Some("a")),
        sender(&service, Some("i"), Some("b")),
    ];
    let mut ids = Vec::new();
    for sender in &senders {
        let first = post(sender, PATH, &[JSON, key], r#"{"data":{"n": 1},"type":"a"}"#).await;
        assert_eq!(first.status, 201, "{first:?}");
        // What is published is the same, however it was sent.
        let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let again = post(sender, PATH, &[JSON, key, trace], r#"{ "type":"a", "data":{"n":1} }"#).await;
        assert_eq!((again.status, &again.json["id"]), (200, &first.json["id"]));
        let line = r#"{"topic":"t","data":{"n":1},"type":"a","key":"order-1"}"#;
        let again = post(sender, "/v1/events", &[LINES], line).await;
        assert_eq!(again.json["results"][0]["id"], first.json["id"]);
        for other in [r#"{"data":{"n":2},"type":"a"}"#, r#"{"data":{"n":1}}"#] {
            let refused = post(sender, PATH, &[JSON, key], other).await;
            assert_eq!((refused.status, refused.problem()), (422, "key-reused"), "{other}");
        }
        let refused =
            post(sender, "/v1/events", &[LINES], line.replace('1', "2").replace("order-2", "order-1")).await;
        assert_eq!(slug(&refused.json["results"][0]["error"]), "key-reused");
        ids.push(first.json["id"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!((ids.len(), data(&*gate, "t").await.len()), (4, 4));
}
