//! Topics in paths, and requests with too much of everything.

use sluice_testkit::{Node, RawConnection, Role, get};

use crate::stage::SLUICE;

/// Paths that one server on the way reads so and the next one otherwise.
const TRICKS: [&str; 16] = [
    "/v1/topics/../events",
    "/v1/topics/a/../b/events",
    "/v1/topics/%2e%2e/events",
    "/v1/topics/a%2F..%2Fb/events",
    "/v1/topics/a%2f%2e%2E%2fb/events",
    "/v1/topics/a%2F%2Fb/events",
    "/v1/topics//events",
    "/v1/topics/%2F/events",
    "/v1/topics/%252e%252e/events",
    "/v1/topics/a%252Fb/events",
    "/v1/topics/%c0%af/events",
    "/v1/topics/%c0%ae%c0%ae/events",
    "/v1/topics/%e0%80%af/events",
    "/v1/topics/a%00/events",
    "/v1/topics/a%0d%0aid:%209/events",
    "/v1/topics/a%/events",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trick_in_a_path_names_a_topic() {
    let node = Node::builder(SLUICE, Role::Dev).spawn().await.unwrap();
    for path in TRICKS {
        for method in ["GET", "POST"] {
            let mut connection = RawConnection::connect(node.addr()).await.unwrap();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: t\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\nx"
            );
            connection.send(head).await.unwrap();
            let answer = connection.read_until("\r\n").await.unwrap();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with("HTTP/1.1 400"), "{method} {path}: {answer}");
        }
    }
    let topics = get(node.ops_addr(), "/v1/node").await.unwrap().json().unwrap()["topics"].clone();
    assert_eq!(topics, 0, "none was opened");
}

/// A head at its greatest size is read as far as it matters, and the node goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_parameters_and_topics_are_refused() {
    let node = Node::builder(SLUICE, Role::Dev)
        .env("SLUICE_LIMITS__HEADER_BYTES_MAX", "1MiB")
        .spawn()
        .await
        .unwrap();
    let topics: String = (0..60_000).map(|n| format!("topic={n}&")).collect();
    let pairs = "x&".repeat(64_000);
    // hyper reads no request line above 64 KiB, whatever the head may have.
    let few: String = (0..6_000).map(|n| format!("topic={n}&")).collect();
    for (query, statuses) in [
        (topics.as_str(), &["414", "431"][..]),
        (pairs.as_str(), &["414", "431"]),
        (few.as_str(), &["400", "414"]),
    ] {
        let mut connection = RawConnection::connect(node.addr()).await.unwrap();
        let _ = connection.send(format!("GET /v1/events?{query} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        let answer = connection.read_until("\r\n").await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(statuses.iter().any(|status| answer.contains(status)), "{} bytes: {answer}", query.len());
    }
    let fields: String = (0..2_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let mut connection = RawConnection::connect(node.addr()).await.unwrap();
    connection.send(format!("GET /v1/events?topic=a HTTP/1.1\r\nhost: t\r\n{fields}\r\n")).await.unwrap();
    assert!(connection.read_until("\r\n").await.unwrap().starts_with(b"HTTP/1.1 431"));
    assert_eq!(get(node.ops_addr(), "/readyz").await.unwrap().status, 200);
}
