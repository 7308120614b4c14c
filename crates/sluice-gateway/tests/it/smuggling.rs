//! Requests that two readers could understand in two ways: what this node makes of each, byte by byte.

use std::time::Duration;

use sluice_gateway::ListenerSettings;
use sluice_testkit::RawConnection;

use crate::stage::{Stage, answer, dechunked, event, get_history, greeting};

/// All that a listener answers to these bytes, until it ends the connection or has nothing more to say.
async fn answers(stage: &Stage, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(bytes).await.unwrap();
    String::from_utf8_lossy(&connection.read_to_end().await.unwrap_or_default()).into_owned()
}

/// The statuses of answers.
fn statuses(answers: &str) -> Vec<&str> {
    let behind = answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3));
    behind.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

/// A listener that waits only a little for another request.
async fn stage() -> Stage {
    // What is not answered with the end of the connection waits so long. A busy machine needs some of it to send.
    let header_read_timeout = Duration::from_secs(2);
    Stage::listening(ListenerSettings { header_read_timeout, ..Default::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_malformed_is_refused_and_ends_the_connection() {
    let stage = stage().await;
    let behind = "GET /address HTTP/1.1\r\nhost: x\r\n\r\n";
    for (what, request, status) in [
        ("no host", "GET /address HTTP/1.1\r\n\r\n", "400"),
        ("two hosts", "GET /address HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", "400"),
        ("the same host twice", "GET /address HTTP/1.1\r\nhost: x\r\nHost: x\r\n\r\n", "400"),
        ("a folded field", "GET /address HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n", "400"),
        ("a space before the colon", "GET /address HTTP/1.1\r\nhost : x\r\n\r\n", "400"),
        ("a field without a name", "GET /address HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n", "400"),
        ("NUL in a field", "GET /address HTTP/1.1\r\nhost: x\r\nx-a: \0\r\n\r\n", "400"),
        ("a bare CR", "GET /address HTTP/1.1\r\nhost: x\r\nx-a: b\rc: d\r\n\r\n", "400"),
        (
            "two lengths",
            "POST /address HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "400",
        ),
        ("a length with a sign", "POST /address HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\n", "400"),
        (
            "an unknown coding",
            "POST /address HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
            "400",
        ),
        (
            "chunks in HTTP/1.0",
            "POST /address HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
            "400",
        ),
        ("HTTP/0.9", "GET /address\r\n\r\n", "400"),
        ("another version", "GET /address HTTP/1.2\r\nhost: x\r\n\r\n", "400"),
        ("a second space", "GET  /address HTTP/1.1\r\nhost: x\r\n\r\n", "400"),
        ("no method", " /address HTTP/1.1\r\nhost: x\r\n\r\n", "400"),
        ("a space in the path", "GET /add ress HTTP/1.1\r\nhost: x\r\n\r\n", "400"),
    ] {
        let answered = answers(&stage, format!("{request}{behind}")).await;
        assert_eq!(statuses(&answered), [status], "{what}: {answered}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_and_clear_is_read_in_one_way() {
    let stage = stage().await;
    for (what, request) in [
        ("the absolute form", "GET http://other/address HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        ("a bare LF", "GET /address HTTP/1.1\nhost: x\nconnection: close\n\n"),
        ("an empty host", "GET /address HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n"),
        (
            "an upgrade that nobody offers",
            "GET /address HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
        (
            "an upgrade to h2c",
            "GET /address HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
        ),
        ("lines before the request", "\r\n\r\nGET /address HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    ] {
        let answered = answers(&stage, request).await;
        assert_eq!(statuses(&answered), ["200"], "{what}: {answered}");
    }
    // HTTP/1.0 knows no Host.
    let answered = answers(&stage, "GET /address HTTP/1.0\r\n\r\n").await;
    assert!(answered.starts_with("HTTP/1.0 200 OK\r\n"), "{answered}");
}

/// The body is what `transfer-encoding` says, and the next request begins behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_length_and_chunks_the_chunks_count() {
    let stage = stage().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for fields in
        ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"]
    {
        let request = format!(
            "POST /address HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
            smuggled.len()
        );
        let answered = answers(&stage, request).await;
        assert!(!answered.contains("/smuggled"), "{answered}");
        assert_eq!(statuses(&answered)[0], "405", "{answered}");
        assert!(statuses(&answered).len() == 1, "{answered}");
    }
}

/// A GET with a body is a stream as well, on hyper; what hides in the body is never a request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_within_the_body_of_a_stream_is_no_request() {
    let smuggled = get_history("smuggled");
    let head = "GET /v1/events?topic=a HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n";
    for request in [
        format!("{head}content-length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
        format!("{head}\r\n{smuggled}"),
    ] {
        let stage = stage().await;
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(&request).await.unwrap();
        greeting(&mut connection).await;
        stage.reach("the stream", |status| status.streams == 1).await;
        stage.publish("a", "one").await;
        event(&mut connection, "one").await;
        stage.gateway_ends_streams().await;
        let rest = connection.read_to_end().await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"), "{}", String::from_utf8_lossy(&rest));
        assert!(rest.ends_with(b"0\r\n\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_has_the_head_of_a_stream_and_no_body() {
    let stage = stage().await;
    let head = "HEAD /v1/events?topic=a HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    let answered = answers(&stage, format!("{head}{}", get_history("a"))).await;
    assert_eq!(statuses(&answered), ["200", "200"], "{answered}");
    assert!(answered.contains("content-type: text/event-stream; charset=utf-8\r\n"));
    assert_eq!(stage.gateway.status().streams, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_limited_in_size_and_count() {
    let stage = stage().await;
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let request = |fields: &str| format!("GET /address HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
    assert_eq!(statuses(&answers(&stage, request(&fields(99))).await), ["200"]);
    assert_eq!(statuses(&answers(&stage, request(&fields(100))).await), ["431"]);
    let long = format!("x-long: {}\r\n", "y".repeat(20_000));
    assert_eq!(statuses(&answers(&stage, request(&long)).await), ["431"]);
    let line = format!("GET /address?{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(20_000));
    let answered = answers(&stage, line).await;
    assert!(["414", "431"].contains(&statuses(&answered)[0]), "{answered}");
}

/// Paths that could name another topic than they seem to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_in_a_path_is_one_topic_or_none() {
    let stage = stage().await;
    stage.publish("a/b", "found").await;
    for (path, found) in [
        ("a/b", true),
        ("a%2Fb", true),
        ("a%2fb", true),
        ("%61/b", true),
        ("a%252Fb", false),
        ("a//b", false),
        ("a/./b", false),
        ("x/../a/b", false),
        ("x/%2e%2e/a/b", false),
        ("x%2F..%2Fa%2Fb", false),
        ("a%00/b", false),
        ("a/b%00", false),
        ("a%c0%afb", false),
        ("a%e0%80%afb", false),
        ("a%ff/b", false),
        ("a%/b", false),
        ("a%2/b", false),
        ("a\\b", false),
        ("a%5Cb", false),
        ("a%0d%0ab", false),
        ("a;x/b", false),
        ("%7Ba%7D/b", false),
    ] {
        let request = format!(
            "GET /v1/topics/{path}/events?since=earliest HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        let answered = answers(&stage, request).await;
        let expected = if found { "200" } else { "400" };
        assert_eq!(statuses(&answered), [expected], "{path}: {answered}");
        assert_eq!(answered.contains("found"), found, "{path}: {answered}");
    }
    for query in ["topic=a%00", "topic=a%C0%AFb", "topic=%7Ba%7D", "topic=", ""] {
        let request = format!("GET /v1/events?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(statuses(&answers(&stage, request).await), ["400"], "{query}");
    }
}

/// Requests in a row are answered in a row, and the stream is the last of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pipelined_is_answered_in_order() {
    let stage = stage().await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    let stream = crate::stage::get_stream("a");
    connection.send(get_history("b") + &get_history("c") + &stream + &get_history("d")).await.unwrap();
    for _ in 0..2 {
        let (head, _) = answer(&mut connection).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    }
    greeting(&mut connection).await;
    stage.gateway_ends_streams().await;
    dechunked(&connection.read_to_end().await.unwrap());
}
