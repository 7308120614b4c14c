//! What a node takes on, told by real processes: each limit sheds browsers, answers others with a status, counts why,
//! and lets in again once there is room.

use std::net::SocketAddr;

use sluice_testkit::{Item, RedisServer, SseOptions, SseStream, eventually, request};

use crate::stage::{Cluster, SOON, gateway, publisher};

/// What a browser hears that is shed: reason and `retry`, and then the end.
async fn shed(address: SocketAddr, topic: &str) -> (String, u64) {
    let mut stream = SseStream::open(address, &[topic], &SseOptions::default()).await.unwrap();
    assert_eq!(stream.status(), 200, "EventSource never comes back after anything else");
    let items = stream.end().await.unwrap();
    let retry = items.iter().find_map(|item| if let Item::Retry(ms) = item { Some(*ms) } else { None });
    let event = items.iter().find_map(|item| if let Item::Event(event) = item { Some(event) } else { None });
    let event = event.expect("an event");
    assert_eq!(event.event_type, "sluice.shed");
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
    (data["reason"].as_str().unwrap().to_owned(), retry.expect("a retry"))
}

/// Status, problem and `Retry-After` of somebody who can read them.
async fn status(address: SocketAddr, topic: &str) -> (u16, String, u64) {
    let path = format!("/v1/events?topic={topic}");
    let answer = request(address, "GET", &path, &[("accept", "*/*")], "").await.unwrap();
    let kind = answer.json().unwrap()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (answer.status, kind, answer.header("retry-after").unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_and_a_topic_have_as_many_streams_as_they_may() {
    let options = SseOptions::default();
    for (key, reason, code) in [
        ("SLUICE_LIMITS__STREAMS_PER_ADDRESS_MAX", "streams-per-address-max", 429),
        ("SLUICE_LIMITS__STREAMS_PER_TOPIC_MAX", "streams-per-topic-max", 503),
    ] {
        let cluster = Cluster::start_with(|node| node.env(key, "2")).await;
        let address = cluster.addresses()[0];
        let first = cluster.stream(0, &["a", "b"], &options).await;
        let _second = cluster.stream(0, &["b"], &options).await;
        let (why, retry_ms) = shed(address, "b").await;
        assert_eq!(why, reason);
        assert!((5_000..=15_000).contains(&retry_ms), "longer than a rush takes: {retry_ms}");
        let (answered, kind, retry_s) = status(address, "b").await;
        assert_eq!((answered, kind.as_str()), (code, reason));
        assert!((5..=15).contains(&retry_s), "{retry_s}");
        let refused = cluster.gateways[0].metric("sluice_admission_refused_total").await.unwrap();
        assert_eq!(refused, Some(2.0));
        if code == 503 {
            // Another topic has room.
            let _other = cluster.stream(0, &["a"], &options).await;
        }
        drop(first);
        eventually("room again", SOON, async || {
            let mut stream = SseStream::open(address, &["b"], &options).await?;
            let _retry = stream.next().await?;
            anyhow::ensure!(matches!(stream.next().await?, Some(Item::Id(_))), "shed again");
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_follows_as_many_topics_as_it_may() {
    let cluster = Cluster::start_with(|node| {
        node.env("SLUICE_LIMITS__TOPICS_MAX", "3").env("SLUICE_TOPICS__LINGER_MS", "0")
    })
    .await;
    let (address, options) = (cluster.addresses()[0], SseOptions::default());
    let _lasting = cluster.stream(0, &["a", "b"], &options).await;
    let short = cluster.stream(0, &["a", "c"], &options).await;
    assert_eq!(shed(address, "d").await.0, "topics-max");
    let (answered, kind, _) = status(address, "d").await;
    assert_eq!((answered, kind.as_str()), (503, "topics-max"));
    let refused = cluster.gateways[0].metric("sluice_admission_refused_total").await.unwrap();
    assert_eq!(refused, Some(2.0));
    let known = cluster.stream(0, &["b", "c"], &options).await;
    drop((short, known));
    eventually("room for another topic", SOON, async || {
        let mut stream = SseStream::open(address, &["d"], &options).await?;
        let _retry = stream.next().await?;
        anyhow::ensure!(matches!(stream.next().await?, Some(Item::Id(_))), "shed again");
        Ok(())
    })
    .await
    .unwrap();
}

/// A limit below what any process needs: memory is short from the first look on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_short_of_memory_takes_nothing_in() {
    let redis = RedisServer::start().await.unwrap();
    let little = ("SLUICE_LIMITS__MEMORY_BYTES", "1MiB");
    let node = gateway(&redis.url()).env(little.0, little.1).spawn().await.unwrap();
    let publisher = publisher(&redis.url()).env(little.0, little.1).spawn().await.unwrap();
    let (why, retry_ms) = shed(node.addr(), "a").await;
    assert_eq!(why, "memory");
    assert!((1_000..=3_000).contains(&retry_ms), "another node may have room: {retry_ms}");
    assert_eq!(status(node.addr(), "a").await.0, 503);
    let text = [("content-type", "text/plain")];
    let path = "/v1/topics/a/events";
    let answer = request(publisher.publisher_addr(), "POST", path, &text, "x").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("/problems/memory\""), "{}", answer.text());
    for process in [&node, &publisher] {
        assert_eq!(process.metric("sluice_memory_short").await.unwrap(), Some(1.0));
        let used = process.metric("sluice_memory_used_bytes").await.unwrap().unwrap();
        assert!(used > process.metric("sluice_memory_mark_bytes").await.unwrap().unwrap());
    }
    let unwatched = [little, ("SLUICE_LIMITS__MEMORY_SHARE_PERCENT", "0")];
    let node = unwatched.iter().fold(gateway(&redis.url()), |node, (key, value)| node.env(key, value));
    let node = node.spawn().await.unwrap();
    crate::stage::open(node.addr(), &["a"], &SseOptions::default()).await;
}
