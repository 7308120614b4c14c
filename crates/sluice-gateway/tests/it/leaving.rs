//! How sockets leave hyper: what its documentation does not promise, held here for the version in use.

use std::time::Duration;

use sluice_gateway::ListenerSettings;
use sluice_testkit::{RawConnection, eventually};

use crate::stage::{SOON, Stage, answer, dechunked, event, fields, get_history, get_stream, greeting, head};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_connection() {
    let stage = Stage::start().await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(get_stream("a")).await.unwrap();
    let head = greeting(&mut connection).await;
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
    ] {
        assert_eq!(fields(&head, name), [value], "{head}");
    }
    assert_eq!((fields(&head, "date").len(), fields(&head, "content-length").len()), (1, 0), "{head}");
    stage.reach("the slot", |status| status.shards.streams == 1).await;
    stage.publish("a", "one").await;
    event(&mut connection, "one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_connection_and_every_byte_of_it() {
    let stage = Stage::start().await;
    let id = stage.publish("a", "zero").await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    for _ in 0..3 {
        connection.send(get_history("a")).await.unwrap();
        let (head, body) = answer(&mut connection).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(String::from_utf8(body).unwrap().contains("zero"));
    }
    connection.send(get_stream("a").replace("topic=a", "topic=a&since=earliest")).await.unwrap();
    let head = head(&mut connection).await;
    assert_eq!(fields(&head, "transfer-encoding"), ["chunked"]);
    stage.reach("the slot", |status| status.shards.streams == 1).await;
    let one = stage.publish("a", "one\ntwo").await;
    stage.reach("the event's delivery", |status| status.shards.figures.deliveries >= 1).await;
    stage.drain().await;
    let body = dechunked(&connection.read_to_end().await.unwrap());
    let (opening, rest) = body.split_once("\n\n").unwrap();
    assert!(opening.starts_with("retry: ") && opening.ends_with("\nid: 0-0"), "{opening}");
    let (events, farewell) = rest.rsplit_once("retry: ").unwrap();
    assert_eq!(events, format!("id: {id}\ndata: zero\n\nid: {one}\ndata: one\ndata: two\n\n"));
    assert!(farewell.strip_suffix("\n\n").unwrap().parse::<u64>().is_ok(), "{farewell}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_is_streamed_to_without_chunks() {
    for keep_alive in ["", "connection: keep-alive\r\n"] {
        let stage = Stage::start().await;
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        let request = format!("GET /v1/events?topic=a HTTP/1.0\r\n{keep_alive}\r\n");
        connection.send(request).await.unwrap();
        let head = head(&mut connection).await;
        assert!(head.contains(" 200 OK\r\n"), "{head}");
        assert_eq!(fields(&head, "transfer-encoding").len() + fields(&head, "content-length").len(), 0);
        assert_eq!(fields(&head, "connection"), ["close"]);
        stage.reach("the slot", |status| status.shards.streams == 1).await;
        let id = stage.publish("a", "one").await;
        stage.reach("the event's delivery", |status| status.shards.figures.deliveries == 1).await;
        stage.drain().await;
        let body = String::from_utf8(connection.read_to_end().await.unwrap()).unwrap();
        let (opening, rest) = body.split_once("\n\n").unwrap();
        assert!(opening.starts_with("retry: ") && opening.contains("\nid: 0-0"), "{body:?}");
        let event = format!("id: {id}\ndata: one\n\nretry: ");
        assert!(rest.starts_with(&event) && rest.ends_with("\n\n"), "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_request_behind_the_stream_is_not_answered() {
    let stage = Stage::start().await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(get_stream("a") + &get_history("a")).await.unwrap();
    greeting(&mut connection).await;
    stage.publish("a", "one").await;
    event(&mut connection, "one").await;
    stage.drain().await;
    let rest = connection.read_to_end().await.unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"), "{}", String::from_utf8_lossy(&rest));
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"));
}

/// With a body to read, the connection is hyper's to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_with_a_body_stays_and_is_streamed_to() {
    // Whoever never sent the rest of its body is missed by hyper at a write only.
    let stage = Stage::start_with(|settings| settings.streams.heartbeat = Duration::from_secs(1)).await;
    let request = get_stream("a");
    let request = request.strip_suffix("\r\n").unwrap();
    let bodies = [
        "content-length: 5\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "content-length: 5\r\n\r\nhe",
    ];
    let mut connections = Vec::new();
    for body in bodies {
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(format!("{request}{body}")).await.unwrap();
        greeting(&mut connection).await;
        connections.push(connection);
    }
    let status = stage.gateway.status();
    assert_eq!((status.streams, status.shards.streams), (3, 0), "none of them left hyper");
    stage.publish("a", "one").await;
    for connection in &mut connections {
        event(connection, "one").await;
    }
    drop(connections);
    stage.empty().await;
}

/// Nothing of the stream may overtake what hyper has still to write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_answer_that_nobody_has_read_keeps_its_place() {
    let stage = Stage::start().await;
    // A page of history ends with the event that fills it, so that one may be as long as it is.
    stage.publish("big", &"x".repeat(30_000_001)).await;
    let mut connection = RawConnection::connect_narrow(stage.address, 65_536).await.unwrap();
    connection.send(get_history("big") + &get_stream("a")).await.unwrap();
    let (head, body) = answer(&mut connection).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.len() > 30_000_000, "{head}");
    assert!(body.ends_with(b"}"));
    greeting(&mut connection).await;
    stage.publish("a", "one").await;
    event(&mut connection, "one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_in_is_cut_off() {
    let header_read_timeout = Duration::from_secs(2);
    let stage = Stage::listening(ListenerSettings { header_read_timeout, ..Default::default() }).await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    let request = get_stream("a");
    connection.send(&request[..request.len() - 2]).await.unwrap();
    let rest = connection.read_to_end().await.unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    assert_eq!(stage.gateway.status().streams, 0);

    // A stream outlives the timeout of its request's head.
    let mut stream = stage.stream("a").await;
    let mut late = RawConnection::connect(stage.address).await.unwrap();
    late.send("GET ").await.unwrap();
    late.read_to_end().await.unwrap();
    stage.publish("a", "one").await;
    event(&mut stream, "one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_layers_add_is_in_the_head() {
    let stage =
        Stage::start_with(|settings| settings.cors.origins = vec!["https://app.example".to_owned()]).await;
    let request = get_stream("a");
    let request = request.strip_suffix("\r\n").unwrap();
    for (origin, allowed) in [("https://app.example", true), ("https://other.example", false)] {
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(format!("{request}origin: {origin}\r\n\r\n")).await.unwrap();
        let head = greeting(&mut connection).await;
        let expected: &[&str] = if allowed { &["https://app.example"] } else { &[] };
        assert_eq!(fields(&head, "access-control-allow-origin"), expected, "{head}");
        assert!(fields(&head, "vary").join(",").contains("origin"), "{head}");
    }
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    let preflight = "OPTIONS /v1/events?topic=a HTTP/1.1\r\nhost: x\r\norigin: https://app.example\r\n\
                     access-control-request-method: GET\r\naccess-control-request-headers: last-event-id\r\n\r\n";
    connection.send(preflight).await.unwrap();
    let head = head(&mut connection).await;
    let allowed = fields(&head, "access-control-allow-headers").join(",");
    for name in ["last-event-id", "authorization", "traceparent", "tracestate", "baggage", "sentry-trace"] {
        assert!(allowed.split(',').any(|one| one == name), "{name}: {head}");
    }
}

/// A handshake that is cut into single bytes is one all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_come_byte_by_byte() {
    let stage = Stage::start().await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    for byte in get_stream("a").into_bytes() {
        connection.send([byte]).await.unwrap();
    }
    greeting(&mut connection).await;
    stage.publish("a", "one").await;
    event(&mut connection, "one").await;
    drop(connection);
    eventually("the stream's end", SOON, async || stage.gateway.status().streams == 0).await.unwrap();
}
