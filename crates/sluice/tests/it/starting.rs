//! Beginnings that go wrong: no Redis yet, a bad configuration.

use sluice_testkit::{
    Item, RedisCluster, RedisServer, SseOptions, SseStream, eventually, get, publish_with, request,
};
use tokio::process::Command;
use tokio::time::timeout;

use crate::stage::{SLUICE, SOON, gateway, publisher};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_waits_for_its_redis_and_its_streams_with_it() {
    let mut redis = RedisServer::start().await.unwrap();
    redis.kill().unwrap();
    let mut node = gateway(&redis.url()).spawn_unready().unwrap();
    let mut publisher = publisher(&redis.url()).spawn_unready().unwrap();
    let ops = node.ops_addr();
    eventually("the operations listener", SOON, async || get(ops, "/livez").await?.expect_status(200))
        .await
        .unwrap();
    let readyz = get(ops, "/readyz").await.unwrap().expect_status(503).unwrap().json().unwrap();
    assert_eq!(readyz["checks"]["redis"]["state"], "failing", "{readyz}");
    assert_eq!(get(ops, "/startupz").await.unwrap().status, 503);
    let text = [("content-type", "text/plain")];
    let publishing = publisher.publisher_addr();
    let answer = eventually("the publisher's listener", SOON, async || {
        request(publishing, "POST", "/v1/topics/a/events", &text, "x").await
    });
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());

    let options = SseOptions { within: SOON, ..SseOptions::default() };
    let address = node.addr();
    let opened =
        eventually("the public listener", SOON, async || SseStream::open(address, &["a"], &options).await);
    let mut stream = opened.await.unwrap();
    assert_eq!(stream.status(), 200);
    assert!(matches!(stream.next().await.unwrap(), Some(Item::Retry(_))), "greeted at once");
    stream.control("sluice.stale").await.unwrap();

    redis.restart().await.unwrap();
    node.ready().await.unwrap();
    publisher.ready().await.unwrap();
    // Heartbeats go on coming, so the wait has a deadline of its own.
    timeout(SOON, stream.control("sluice.live")).await.expect("sluice.live behind sluice.stale").unwrap();
    assert!(!stream.last_event_id().is_empty() || matches!(stream.next().await.unwrap(), Some(Item::Id(_))));
    // The publisher's circuit may still be open: a key makes trying again safe.
    let id = eventually("the publisher to go on", SOON, async || {
        publish_with(publishing, "a", "at last", &[("idempotency-key", "1")]).await
    });
    let id = id.await.unwrap();
    let event = stream.event().await.unwrap();
    assert_eq!((event.data.as_str(), event.last_event_id), ("at last", id.to_string()));
    let log = node.log();
    assert!(log.contains("refuses connections; retrying") && !log.contains("panicked"), "{log}");
}

/// Who goes away while the node waits for its broker gives its place back at a heartbeat, not when that is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_need_not_wait_for_redis_to_be_gone() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    drop(redis);
    let node = gateway(&url).env("SLUICE_STREAMS__HEARTBEAT_MS", "500").spawn_unready().unwrap();
    let (address, options) = (node.addr(), SseOptions::default());
    let mut streams = Vec::new();
    for _ in 0..5 {
        let opened = eventually("the public listener", SOON, async || {
            SseStream::open(address, &["a"], &options).await
        });
        let mut stream = opened.await.unwrap();
        stream.control("sluice.stale").await.unwrap();
        assert!(matches!(stream.next().await.unwrap(), Some(Item::Comment(_))), "kept awake");
        streams.push(stream);
    }
    assert_eq!(node.metric("sluice_streams_open").await.unwrap(), Some(5.0));
    drop(streams);
    eventually("the places", SOON, async || match node.metric("sluice_streams_open").await? {
        Some(0.0) => Ok(()),
        open => anyhow::bail!("{open:?} streams open"),
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_wrong_with_a_configuration_is_said_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[streams]\nheartbeat_ms = \"soon\"\n[nonsense]\nkey = 1\n").unwrap();
    let output = Command::new(SLUICE)
        .args(["gateway", "--config", file.path().to_str().unwrap(), "--set", "limits.streams_max=-1"])
        .env("SLUICE_LISTEN__ADDR", "nowhere")
        .env("SLUICE_LISTEN__ADRESS", "127.0.0.1:0")
        .env("SLUICE_REDIS__URL", "redis://:hunter2@")
        .env("SLUICE_GATEWAY_SERVICE_HOST", "10.0.0.1")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for part in [
        "streams.heartbeat_ms",
        "nonsense",
        "limits.streams_max",
        "SLUICE_LISTEN__ADDR",
        "SLUICE_LISTEN__ADRESS",
        "SLUICE_REDIS__URL",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert!(!said.contains("hunter2") && !said.contains("SERVICE_HOST"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_named() {
    let redis = RedisServer::start().await.unwrap();
    let output = Command::new(SLUICE)
        .args(["gateway", "--set", &format!("listen.addr={}", redis.addr()), "--set", "ops.addr=127.0.0.1:0"])
        .env("SLUICE_REDIS__URL", redis.url())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("listen.addr") && said.contains(&redis.addr().to_string()), "{said}");
}

/// A rolling restart meanwhile is not to stop at the first node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_while_a_shard_of_a_cluster_hangs_are_ready() {
    let cluster = RedisCluster::builder().arg("cluster-require-full-coverage", "no").start().await.unwrap();
    for server in [cluster.primary_of("t0").await.unwrap(), cluster.replica_of("t0").await.unwrap()] {
        server.pause().unwrap();
    }
    let url = cluster.url();
    let (gateway, publisher) = tokio::join!(gateway(&url).spawn(), publisher(&url).spawn());
    gateway.expect("a gateway that is ready");
    publisher.expect("a publisher that is ready");
}
