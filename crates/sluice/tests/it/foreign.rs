//! What others write to Redis: never a field of a frame, never a panic, never in the way of what follows.

use sluice_testkit::{SseOptions, eventually};

use crate::stage::{Cluster, SOON, behind, open, since};

const LOG: &str = "sluice:{orders}:log";
const LIVE: &str = "sluice:{orders}:live";

/// Begin like an envelope and are none.
const CORRUPT: [&[u8]; 7] = [
    b"\x01",
    b"\x01garbage",
    b"\x01v=1 id=abc prev=0-0\ndata",
    b"\x01v=1 id=1-1 prev=0-0 type=a%0Aid: 9-9\ndata",
    b"\x01v=2 id=1-1 prev=0-0\ndata",
    b"\x01v=1 id=1-1 prev=0-0\n\xff\xfe",
    b"\xff\xfe no text at all",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_messages_are_left_out_and_counted() {
    let cluster = Cluster::start().await;
    let gateway = &cluster.gateways[0];
    let mut stream = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    for message in CORRUPT {
        cluster.redis.cli_with_stdin(&["-x", "PUBLISH", LIVE], message).await.unwrap();
    }
    // Without `prev` it says nothing of continuity: the node looks into the log, and finds nothing there.
    cluster.redis.cli_with_stdin(&["-x", "PUBLISH", LIVE], b"\x01v=1 id=1-1\nnot in the log").await.unwrap();
    let id = cluster.publish("orders", "still here").await;
    let event = stream.event().await.unwrap();
    assert_eq!((event.data.as_str(), event.last_event_id), ("still here", id.to_string()));
    let counted = gateway.metric("sluice_foreign_messages_total").await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let expected = CORRUPT.len() as f64;
    assert_eq!(counted, Some(expected));
    let log = gateway.log();
    assert_eq!(log.matches("skipped a message").count(), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_text_is_data_whatever_it_looks_like() {
    let cluster = Cluster::start().await;
    let mut stream = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    let cursor = stream.last_event_id().to_owned();
    let text = "one\r\nid: 9-9\n\nevent: sluice.expired\rretry: 1\ndata: x\n:comment\u{2028}";
    cluster.redis.cli_with_stdin(&["-x", "PUBLISH", LIVE], text.as_bytes()).await.unwrap();
    let event = stream.event().await.unwrap();
    assert_eq!(event.event_type, "message");
    assert_eq!(event.data, "one\nid: 9-9\n\nevent: sluice.expired\nretry: 1\ndata: x\n:comment\u{2028}");
    assert_eq!(event.last_event_id, cursor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_are_no_events_are_passed_over() {
    let cluster = Cluster::start().await;
    let cli = |args: &'static [&'static str]| cluster.redis.cli(args);
    let mut stream = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    cluster.publish("orders", "1").await;
    cli(&["XADD", LOG, "*", "foo", "bar"]).await.unwrap();
    cluster.redis.cli_with_stdin(&["-x", "XADD", LOG, "*", "data"], b"\xff\xfe").await.unwrap();
    cli(&["XADD", LOG, "*", "data", "2", "type", "line\nbreak"]).await.unwrap();
    cluster.publish("orders", "3").await;
    let mut late = open(cluster.addresses()[1], &["orders"], &since("earliest")).await;
    for stream in [&mut stream, &mut late] {
        let mut seen = Vec::new();
        while seen.last().map(String::as_str) != Some("3") {
            let event = stream.event().await.unwrap();
            assert!(!event.event_type.contains("break"), "{event:?}");
            seen.push(event.data);
        }
        // Whether an entry with a bad type is an event without one or none at all, all streams agree.
        assert!(seen == ["1", "3"] || seen == ["1", "2", "3"], "{seen:?}");
    }
    for gateway in &cluster.gateways {
        assert!(!gateway.log().contains("panicked"));
    }
    let told = [stream.controls(), late.controls()].concat();
    assert!(told.is_empty(), "no event is missing: {told:?}");
}

/// The node moves on over the entry, and so does everything on it: a stream that joins behind it has arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_last_entry_leaves_the_node_and_its_streams_at_one_place() {
    let cluster = Cluster::start().await;
    let gateway = &cluster.gateways[0];
    let mut stream = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    cluster.publish("orders", "1").await;
    assert_eq!(stream.event().await.unwrap().data, "1");
    for skipped in [b"".as_slice(), b"\xff\xfe"] {
        let before = gateway.metric("sluice_foreign_messages_total").await.unwrap();
        let id = if skipped.is_empty() {
            cluster.redis.cli(&["XADD", LOG, "*", "foo", "bar"]).await.unwrap()
        } else {
            cluster.redis.cli_with_stdin(&["-x", "XADD", LOG, "*", "data"], skipped).await.unwrap()
        };
        eventually("the entry to be skipped", SOON, async || {
            let now = gateway.metric("sluice_foreign_messages_total").await.unwrap();
            if now > before { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await
        .unwrap();
        let mut late = cluster.stream(0, &["orders"], &since("last:0")).await;
        assert_eq!(late.last_event_id().split('~').next(), Some(id.trim()));
        let mut again = cluster.stream(0, &["orders"], &behind(id.trim())).await;
        let lags = gateway.metric("sluice_holes_found_total").await.unwrap();
        cluster.publish("orders", "2").await;
        for stream in [&mut stream, &mut late, &mut again] {
            assert_eq!(stream.event().await.unwrap().data, "2");
            assert!(stream.controls().is_empty(), "no event is missing: {:?}", stream.controls());
        }
        assert_eq!(
            gateway.metric("sluice_holes_found_total").await.unwrap(),
            lags,
            "streams made the node read"
        );
    }
}

/// A key of another kind where a log should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_no_log_harms_its_own_topic_alone() {
    let cluster = Cluster::start().await;
    cluster.redis.cli(&["SET", LOG, "not a stream"]).await.unwrap();
    let mut stream = cluster.stream(0, &["healthy"], &SseOptions::default()).await;
    let options = SseOptions::default();
    let broken =
        sluice_testkit::SseStream::open(cluster.addresses()[0], &["orders"], &options).await.unwrap();
    assert_eq!(broken.status(), 200);
    for number in ["1", "2"] {
        cluster.publish("healthy", number).await;
        assert_eq!(stream.event().await.unwrap().data, number);
    }
    drop(broken);
    assert!(!cluster.gateways[0].log().contains("panicked"));
}
