//! Live delivery: by HTTP and by the three ways of redis-cli, on every node.

use std::time::{Duration, Instant};

use sluice_testkit::{SseOptions, eventually, publish_batch, request};
use sluice_wire::EventId;

use crate::stage::{Cluster, SOON, data, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_on_both_nodes_at_once() {
    let cluster = Cluster::start().await;
    let mut first = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    let mut second = cluster.stream(1, &["orders"], &SseOptions::default()).await;
    let mut latencies = Vec::new();
    for number in 0..100 {
        let payload = format!("event {number}");
        let began = Instant::now();
        let id = cluster.publish("orders", &payload).await.to_string();
        let received = tokio::try_join!(first.event(), second.event()).unwrap();
        latencies.push(began.elapsed());
        for event in [received.0, received.1] {
            assert_eq!((&event.data, &event.last_event_id), (&payload, &id));
            assert_eq!(event.event_type, "message");
        }
    }
    latencies.sort();
    let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    println!(
        "publish to receipt on two nodes: p50 {:.2} ms, p90 {:.2} ms, max {:.2} ms (debug build)",
        ms(latencies[50]),
        ms(latencies[90]),
        ms(latencies[99])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_and_types_arrive_as_they_were_published() {
    let cluster = Cluster::start().await;
    let mut stream = cluster.stream(0, &["a/b"], &SseOptions::default()).await;
    let publisher = cluster.publisher.publisher_addr();
    let json = [("content-type", "application/json")];
    let body = r#"{"data":{"n":1,"t":"ä\u2028"},"type":"order.created"}"#;
    let answer = request(publisher, "POST", "/v1/topics/a%2Fb/events", &json, body).await.unwrap();
    let answer = answer.expect_status(201).unwrap().json().unwrap();
    let event = stream.event().await.unwrap();
    assert_eq!(event.event_type, "order.created");
    assert_eq!(event.last_event_id, answer["id"].as_str().unwrap());
    // JSON is passed on as it was written.
    assert_eq!(event.data, r#"{"n":1,"t":"ä\u2028"}"#);

    cluster.publish("a/b", "one\ntwo\r\nthree\rfour\n\ndata: five\nid: 9-9\n").await;
    let event = stream.event().await.unwrap();
    assert_eq!(event.data, "one\ntwo\nthree\nfour\n\ndata: five\nid: 9-9\n");

    let lines = [("a/b", "6"), ("elsewhere", "x"), ("a/b", "7")];
    let ids = publish_batch(publisher, &lines).await.unwrap();
    let events = stream.events(2).await.unwrap();
    assert_eq!(data(&events), ["6", "7"]);
    assert_eq!(events[1].last_event_id, ids[2].as_ref().unwrap().to_string());
}

/// The script, XADD and PUBLISH, by the real redis-cli as a user would call it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_ways_of_redis_cli() {
    let cluster = Cluster::start().await;
    let cli = |args: &'static [&'static str]| cluster.redis.cli(args);
    let mut streams = [
        cluster.stream(0, &["orders"], &SseOptions::default()).await,
        cluster.stream(1, &["orders"], &SseOptions::default()).await,
    ];
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../sluice-broker/scripts/publish.lua");
    let eval = ["--eval", script, "sluice:{orders}:log", ",", r#"{"id":1}"#, "order.created"];
    let answer = cluster.redis.cli(&eval).await.unwrap();
    let scripted: EventId = answer.lines().next().unwrap().trim_matches('"').parse().unwrap();
    for stream in &mut streams {
        let event = stream.event().await.unwrap();
        assert_eq!(event.event_type, "order.created");
        assert_eq!(event.data, r#"{"id":1}"#);
        assert_eq!(event.last_event_id, scripted.to_string());
    }

    let plain = cli(&["PUBLISH", "sluice:{orders}:live", "hello"]).await.unwrap();
    assert_eq!(plain.trim(), "2", "both nodes hear the live channel");
    for stream in &mut streams {
        let event = stream.event().await.unwrap();
        assert_eq!(event.data, "hello");
        assert_eq!(event.last_event_id, scripted.to_string(), "it has no id: the cursor stays");
    }

    let began = Instant::now();
    let added = cli(&["XADD", "sluice:{orders}:log", "*", "data", r#"{"id":2}"#]).await.unwrap();
    for stream in &mut streams {
        let event = stream.event().await.unwrap();
        assert_eq!((event.data.as_str(), &event.last_event_id), (r#"{"id":2}"#, &added));
        assert_eq!(event.event_type, "message");
    }
    println!("XADD to receipt on two nodes, by the tail check: {:?}", began.elapsed());

    let mut late = open(cluster.addresses()[0], &["orders"], &crate::stage::since("earliest")).await;
    let kept = late.events(2).await.unwrap();
    assert_eq!(data(&kept), [r#"{"id":1}"#, r#"{"id":2}"#], "what PUBLISH said was not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_nobody_reads_are_let_go() {
    let cluster = Cluster::start_with(|gateway| gateway.env("SLUICE_TOPICS__LINGER_MS", "100")).await;
    let stream = cluster.stream(0, &["orders"], &SseOptions::default()).await;
    let gateway = &cluster.gateways[0];
    assert_eq!(gateway.metric("sluice_topics_active").await.unwrap(), Some(1.0));
    drop(stream);
    eventually("nothing left of the stream", SOON, async || {
        let channels = cluster.redis.cli(&["PUBSUB", "CHANNELS", "*orders*"]).await?;
        let topics = gateway.metric("sluice_topics_active").await?;
        let streams = gateway.metric("sluice_streams_open").await?;
        let (channels, gone) = (channels.trim().to_owned(), (topics, streams) == (Some(0.0), Some(0.0)));
        if channels.is_empty() && gone {
            Ok(())
        } else {
            anyhow::bail!("{channels:?} {topics:?} {streams:?}")
        }
    })
    .await
    .unwrap();
}
