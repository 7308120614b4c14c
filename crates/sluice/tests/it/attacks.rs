//! Text that would be more than text: by every way in, it stays data, is refused, or is left out. What a client gets is
//! judged by its bytes, not by a decoder that might forgive.

mod logs;
mod paths;
mod raw_stream;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::strategy::{Just, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sluice_testkit::{Node, RawConnection, Role, request};

use self::raw_stream::{Frame, frames, normal, until};
use crate::stage::{Cluster, SLUICE};

const JSON: (&str, &str) = ("content-type", "application/json");
const BATCH: &str = "/v1/events";
const ONE: &str = "/v1/topics/t/events";
const END: &str = "the-end";

/// Text of what ends a line, begins a field, or is taken for nothing.
fn hostile() -> impl Strategy<Value = String> {
    const PIECES: [&str; 20] = [
        "\r", "\n", "\r\n", "\n\n", "\r\r", "\0", "\u{85}", "\u{2028}", "\u{feff}", "id: 9-9", "event: x",
        "data: ", "retry: 1", ":", " ", "é", "", "\u{b}", "\u{c}", "\t",
    ];
    vec(prop_oneof![proptest::sample::select(&PIECES[..]), Just("word")], 0..6)
        .prop_map(|parts| parts.concat())
}

/// Events by HTTP through the whole of a node on the memory broker, by lines and by array.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_becomes_another_field() {
    let node = Node::builder(SLUICE, Role::Dev).spawn().await.unwrap();
    let mut runner = TestRunner::deterministic();
    let events = vec((option::of(hostile()), hostile()), 400).new_tree(&mut runner).unwrap().current();
    let bodies: Vec<Value> =
        events.iter().map(|(kind, data)| json!({"topic": "t", "type": kind, "data": data})).collect();
    let (first, second) = bodies.split_at(200);
    let lines: String = first.iter().map(|body| format!("{body}\n")).collect();
    let ndjson = ("content-type", "application/x-ndjson");
    let by_lines = request(node.addr(), "POST", BATCH, &[ndjson], lines).await.unwrap().json().unwrap();
    let array = json!(second).to_string();
    let by_array = request(node.addr(), "POST", BATCH, &[JSON], array).await.unwrap().json().unwrap();
    let end = json!({ "data": END }).to_string();
    request(node.addr(), "POST", ONE, &[JSON], end).await.unwrap().expect_status(201).unwrap();

    let results =
        [by_lines["results"].as_array().unwrap().clone(), by_array["results"].as_array().unwrap().clone()];
    let mut expected = Vec::new();
    for ((kind, data), result) in events.iter().zip(results.concat()) {
        let refused = kind.as_ref().is_some_and(|kind| kind.is_empty() || kind.chars().any(char::is_control));
        assert_eq!(result["error"].is_object(), refused, "{kind:?}: {result}");
        if !refused {
            let id = result["id"].as_str().unwrap().to_owned();
            expected.push(Frame { id, kind: kind.clone(), data: normal(data) });
        }
    }
    let bytes = until(node.addr(), "/v1/events?topic=t&since=earliest", END).await;
    let got = frames(&bytes);
    assert!(expected.len() > 100, "{} of 400 are events", expected.len());
    assert_eq!(got[..got.len() - 1], expected);
}

/// Fields of entries and headers of envelopes that somebody writes by hand, through a real Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_into_redis_stays_where_it_belongs() {
    let cluster = Cluster::start().await;
    let (log, live) = ("sluice:{t}:log", "sluice:{t}:live");
    let evil = "x\r\nid: 9-9\n\rretry: 1\revent: sluice.expired\n\n\0";
    let mut stream = RawConnection::connect(cluster.addresses()[0]).await.unwrap();
    let ask = "GET /v1/events?topic=t HTTP/1.0\r\nhost: t\r\naccept: text/event-stream\r\n\r\n";
    stream.send(ask).await.unwrap();
    stream.read_until("\nid: ").await.unwrap();
    // redis-cli takes no NUL among its arguments, so the last field comes by its standard input.
    let text = evil.trim_end_matches('\0');
    for fields in [
        &["type", text, "data"][..],
        &["prev", text, "data"],
        &["tp", text, "data"],
        &["id", text, "retry", text, "data"],
        &["data", text, "data"],
        &[text, text, "data"],
    ] {
        let command = [&["-x", "XADD", log, "*"], fields].concat();
        cluster.redis.cli_with_stdin(&command, evil.as_bytes()).await.unwrap();
    }
    for header in [
        format!("v=1 id=1-1 type={}", "x%0Aid: 9-9"),
        "v=1 id=1-1 type=x%0D%0Aretry: 1".to_owned(),
        "v=1 id=1-1\rid: 9-9".to_owned(),
        "v=1 id=1-1 tp=x%0Aid:%209-9 type=a%00b".to_owned(),
    ] {
        let message = format!("\u{1}{header}\n{evil}");
        cluster.redis.cli_with_stdin(&["-x", "PUBLISH", live], message.as_bytes()).await.unwrap();
    }
    cluster.redis.cli_with_stdin(&["-x", "PUBLISH", live], evil.as_bytes()).await.unwrap();
    cluster.publish("t", END).await;

    let seen = stream.read_until(format!("data: {END}\n\n")).await.unwrap();
    let late = until(cluster.addresses()[1], "/v1/events?topic=t&since=earliest", END).await;
    let seen = [b"id: ".as_slice(), &seen].concat();
    for bytes in [seen, late] {
        let got = frames(&bytes);
        assert!(got.iter().any(|frame| frame.data == normal(evil)), "the data itself comes: {got:?}");
        for frame in got {
            assert!(!frame.id.contains("9-9"), "{frame:?}");
            assert!(frame.kind.as_deref().is_none_or(|kind| kind == "sluice.gap"), "{frame:?}");
        }
    }
    for node in &cluster.gateways {
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}

/// What stands in a header field or a key of a publishing request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_header_fields_carry_no_lines() {
    let node = Node::builder(SLUICE, Role::Dev).spawn().await.unwrap();
    for field in [
        "idempotency-key: a\rid: 9-9",
        "idempotency-key: a\0b",
        "traceparent: 00\rretry: 1",
        "traceparent: \0",
    ] {
        let mut connection = RawConnection::connect(node.addr()).await.unwrap();
        let head = format!(
            "POST {ONE} HTTP/1.1\r\nhost: t\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n{field}\r\n\r\nx"
        );
        connection.send(head).await.unwrap();
        let answer = connection.read_until("\r\n").await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{field:?}: {}", String::from_utf8_lossy(&answer));
    }
    for key in ["a\rid: 9-9", "a\n\nb", "a\0b"] {
        let body = json!([{"topic": "t", "data": 1, "key": key}]).to_string();
        let report = request(node.addr(), "POST", BATCH, &[JSON], body).await.unwrap().json().unwrap();
        assert_eq!(
            report["results"][0]["error"]["type"], "https://sluice.dev/problems/invalid-key",
            "{report}"
        );
    }
}

/// Compressed bodies are never unpacked, however they say that they are compressed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_body_is_refused_unread() {
    let node = Node::builder(SLUICE, Role::Dev).spawn().await.unwrap();
    let fields: [&[(&str, &str)]; 5] = [
        &[("content-encoding", "gzip")],
        &[("content-encoding", "identity, br")],
        &[("content-encoding", "identity"), ("content-encoding", "gzip")],
        &[("content-encoding", "GZIP")],
        &[("content-encoding", "x")],
    ];
    for coding in fields {
        for path in [ONE, BATCH] {
            let headers = [&[JSON], coding].concat();
            let answer = request(node.addr(), "POST", path, &headers, vec![0x1f, 0x8b, 8]).await.unwrap();
            assert_eq!(answer.status, 415, "{coding:?} {path}: {}", answer.text());
        }
    }
    let plain = [JSON, ("content-encoding", "identity")];
    assert_eq!(request(node.addr(), "POST", ONE, &plain, r#"{"data":1}"#).await.unwrap().status, 201);
}
