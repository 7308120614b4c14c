//! `POST /v1/events`.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::{Value, json};
use sluice_publisher::{PublisherSettings, RouteSettings};
use sluice_testkit::{RawConnection, eventually};
use tokio_util::task::TaskTracker;

use crate::stage::{
    Answer, JSON, LINES, TEXT, WITHIN, data, gated, memory, open_to_all, post, service, slug, start,
};

/// Each result in short: `ok`, `repeated`, or `<line>:<problem>` with 0 for no line.
fn short(answer: &Answer) -> Vec<String> {
    let result = |result: &Value| match result.get("error") {
        Some(error) => format!("{}:{}", result.get("line").unwrap_or(&json!(0)), slug(error)),
        None if result["repeated"] == true => "repeated".to_owned(),
        None => {
            assert!(result["id"].as_str().is_some_and(|id| id.contains('-')), "{result}");
            "ok".to_owned()
        }
    };
    answer.json["results"].as_array().unwrap().iter().map(result).collect()
}

fn counts(answer: &Answer) -> (u16, u64, u64) {
    (answer.status, answer.json["published"].as_u64().unwrap(), answer.json["failed"].as_u64().unwrap())
}

fn parts<const N: usize>(parts: [&[u8]; N]) -> Body {
    let parts = parts.map(|part| Ok::<_, io::Error>(Bytes::copy_from_slice(part)));
    Body::from_stream(stream::iter(parts))
}

const MIXED: &[u8] = b"{\"topic\":\"t\",\"data\":\"caf\xc3\xa9\",\"type\":\"x\"}\r\n\
\n\
{\"topic\":\"t\",\"data\":{\"a\": [1, 2]},\"key\":\"k\"}\n\
{\"topic\":\"t\",\"data\":\n\
{\"topic\":\"t\",\"data\":\"this line is longer than a line may be, which is a hundred bytes in this one test here\"}\n\
{\"topic\":\"t\",\"data\":\"\xff\"}\n\
{\"topic\":\"t\",\"data\":{ \"a\":[1,2] },\"key\":\"k\"}\n\
{\"topic\":\"{}\",\"data\":0}\n\
{\"topic\":\"t\",\"data\":0,\"extra\":1}\n\
{\"topic\":\"t\",\"data\":\"last\"}";

async fn mixed(body: Body) -> (Vec<String>, (u16, u64, u64), Vec<String>) {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, RouteSettings { line_bytes_max: 100, ..open_to_all() });
    let answer = post(&service, "/v1/events", &[LINES], body).await;
    (short(&answer), counts(&answer), data(&*gate, "t").await)
}

#[tokio::test]
async fn each_line_has_its_result_wherever_the_body_is_split() {
    let (results, counts, log) = mixed(parts([MIXED])).await;
    let expected = [
        "ok",
        "ok",
        "4:invalid-body",
        "5:too-large",
        "6:invalid-body",
        "repeated",
        "8:invalid-topic",
        "9:invalid-body",
        "ok",
    ];
    assert_eq!(results, expected);
    assert_eq!(counts, (207, 4, 5));
    assert_eq!(log, ["café", r#"{"a":[1,2]}"#, "last"]);
    for split in 0..=MIXED.len() {
        let (head, tail) = MIXED.split_at(split);
        assert_eq!(
            mixed(parts([head, tail])).await,
            (results.clone(), counts, log.clone()),
            "split at {split}"
        );
    }
}

#[tokio::test]
async fn an_array_is_a_batch() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service =
        service(&publisher, RouteSettings { batch_events_max: 3, body_bytes_max: 200, ..open_to_all() });
    let array = r#"[{"topic":"t","data":"a"}, {"topic":"t"}, {"topic":"t","data":"b"}]"#;
    let answer = post(&service, "/v1/events", &[JSON], array).await;
    assert_eq!(short(&answer), ["ok", "0:invalid-body", "ok"]);
    assert_eq!(counts(&answer), (207, 2, 1));
    let answer = post(&service, "/v1/events", &[JSON], r#"[{"topic":"t","data":"c"}]"#).await;
    assert_eq!(counts(&answer), (200, 1, 0));
    assert_eq!(data(&*gate, "t").await, ["a", "b", "c"]);
    let five = "[{},{},{},{},{}]";
    let large = format!("[{}]", " ".repeat(200));
    for (body, status, problem) in [
        (five, 413, "too-many-events"),
        (&*large, 413, "too-large"),
        (r#"{"topic":"t","data":1}"#, 400, "invalid-body"),
        (r#"[{"topic":"t","data":1}"#, 400, "invalid-body"),
        ("", 400, "invalid-body"),
    ] {
        let answer = post(&service, "/v1/events", &[JSON], body.to_owned()).await;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{body}");
    }
    assert_eq!(data(&*gate, "t").await.len(), 3);
}

#[tokio::test]
async fn a_batch_that_is_no_batch_is_refused_whole() {
    let (_gate, publisher) = gated(PublisherSettings::default());
    let service = service(&publisher, open_to_all());
    for (path, headers, status, problem) in [
        ("/v1/events", &[TEXT][..], 415, "media-type"),
        ("/v1/events", &[], 415, "media-type"),
        ("/v1/events?topic=t", &[LINES], 400, "invalid-query"),
        ("/v1/events", &[LINES, ("idempotency-key", "k")], 400, "invalid-key"),
    ] {
        let answer = post(&service, path, headers, "x").await;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{path} {headers:?}");
    }
    assert_eq!(counts(&post(&service, "/v1/events", &[LINES], "\n\n").await), (200, 0, 0));
}

#[tokio::test]
async fn lines_beyond_the_limit_are_counted_as_failed() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let limits = RouteSettings { batch_events_max: 3, batch_in_flight_max: 1, ..open_to_all() };
    let service = service(&publisher, limits);
    let answer = post(&service, "/v1/events", &[LINES], "{\"topic\":\"t\",\"data\":1}\n".repeat(10)).await;
    assert_eq!(short(&answer), ["ok", "ok", "ok", "4:too-many-events"]);
    assert_eq!(counts(&answer), (207, 3, 7));
    assert_eq!(data(&*gate, "t").await.len(), 3);
}

#[tokio::test]
async fn a_batch_beyond_its_bytes_is_published_up_to_there() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, RouteSettings { batch_bytes_max: 60, ..open_to_all() });
    let line: &[u8] = b"{\"topic\":\"t\",\"data\":1}\n";
    let answer = post(&service, "/v1/events", &[LINES], parts([line, line, line, line])).await;
    assert_eq!(short(&answer), ["ok", "ok", "3:too-large"]);
    assert_eq!(counts(&answer), (207, 2, 1));
    assert_eq!(data(&*gate, "t").await.len(), 2);
}

#[tokio::test]
async fn a_body_that_breaks_off_says_where() {
    let (gate, publisher) = gated(PublisherSettings::default());
    gate.open();
    let service = service(&publisher, open_to_all());
    let body = Body::from_stream(stream::iter([
        Ok(Bytes::from_static(
            b"{\"topic\":\"t\",\"data\":1}\n{\"topic\":\"t\",\"data\":2}\n{\"topic\":\"t\",\"data\":3}",
        )),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]));
    let answer = post(&service, "/v1/events", &[LINES], body).await;
    assert_eq!(short(&answer), ["ok", "ok", "3:incomplete-body"]);
    assert_eq!(counts(&answer), (207, 2, 1));
    assert_eq!(data(&*gate, "t").await, ["1", "2"]);
}

/// Serves `router` on a free port.
async fn serve(router: Router) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn over_a_socket_lines_are_published_as_they_come_and_outlive_their_client() {
    let broker = std::sync::Arc::new(memory());
    let publisher = start(broker.clone(), PublisherSettings::default());
    let address = serve(service(&publisher, open_to_all())).await;
    let mut client = RawConnection::connect(address).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head).await.unwrap();
    for n in 1..=3 {
        let line = format!("{{\"topic\":\"t\",\"data\":{n}}}\n");
        client.send(format!("{:x}\r\n{line}\r\n", line.len())).await.unwrap();
        eventually("the line in the log", WITHIN, async || data(&*broker, "t").await.len() == n)
            .await
            .unwrap();
    }
    client.send("10\r\n{\"topic\":\"t\",\"da").await.unwrap();
    client.reset().unwrap();
    let mut whole = RawConnection::connect(address).await.unwrap();
    let body = "{\"topic\":\"t\",\"data\":4}";
    let head =
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-ndjson";
    whole.send(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await.unwrap();
    let answer = whole.read_to_end().await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(data(&*broker, "t").await, ["1", "2", "3", "4"]);
}
