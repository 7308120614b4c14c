//! What an operator sees of a node that runs: its streams, and where its time and memory go.

use sluice_testkit::{RawConnection, SseOptions, eventually, get};

use crate::stage::{Cluster, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_bad_client_among_many_is_found() {
    let cluster = Cluster::start().await;
    let ops = cluster.gateways[0].ops_addr();
    let options = SseOptions::default();
    let mut good = Vec::new();
    for _ in 0..20 {
        good.push(cluster.stream(0, &["a", "b"], &options).await);
    }
    let mut bad = RawConnection::connect(cluster.addresses()[0]).await.unwrap();
    bad.send("GET /v1/events?topic=large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    bad.read_until("\nid: ").await.unwrap();
    let page = "x".repeat(100_000);
    let worst = eventually("the stuck stream on top", SOON, async || {
        cluster.publish("large", &page).await;
        let told = get(ops, "/v1/streams?limit=1").await?.expect_status(200)?.json()?;
        let worst = told["streams"][0].clone();
        anyhow::ensure!(worst["state"] == "blocked" && told["listed"] == 1, "{told}");
        Ok(worst)
    })
    .await
    .unwrap();
    assert_eq!(worst["topics"], serde_json::json!(["large"]), "{worst}");
    assert!(worst["behind_frames"].as_u64().unwrap() >= 1, "{worst}");
    assert!(worst["behind_bytes"].as_u64().unwrap() > 1_000, "{worst}");
    assert!(worst["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{worst}");

    let told = get(ops, "/v1/streams?topic=a&limit=1000").await.unwrap().json().unwrap();
    assert_eq!((told["open"].as_u64(), told["listed"].as_u64()), (Some(21), Some(20)), "{told}");
    for stream in told["streams"].as_array().unwrap() {
        assert_eq!((stream["state"].as_str(), stream["behind_frames"].as_u64()), (Some("live"), Some(0)));
        // Of `streams.max_age_s` each stream has between four fifths and all.
        let whole_s = stream["age_s"].as_u64().unwrap() + stream["ends_in_s"].as_u64().unwrap();
        assert!((2_870..=3_610).contains(&whole_s), "{stream}");
    }
    for wrong in ["limit=0", "limit=1001", "topic=", "colour=red"] {
        let refused = get(ops, &format!("/v1/streams?{wrong}")).await.unwrap();
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let elsewhere = get(cluster.publisher.ops_addr(), "/v1/streams").await.unwrap();
    assert_eq!(elsewhere.status, 404, "a publisher has none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_closed_unless_they_are_opened_and_one_is_taken_at_a_time() {
    let closed = Cluster::start().await;
    for path in ["/v1/profile", "/v1/profile/cpu", "/v1/profile/threads", "/v1/profile/heap"] {
        let refused = get(closed.gateways[0].ops_addr(), path).await.unwrap();
        assert_eq!(refused.status, 404, "{path}");
        assert!(refused.text().contains("ops.profiling = true"), "{}", refused.text());
    }
    drop(closed);
    let open = Cluster::start_with(|node| node.env("SLUICE_OPS__PROFILING", "true")).await;
    let ops = open.gateways[0].ops_addr();
    let heap = get(ops, "/v1/profile/heap").await.unwrap().expect_status(200).unwrap().json().unwrap();
    assert!(heap["held"]["allocated_bytes"].as_u64().unwrap() > 100_000, "{heap}");
    assert!(heap["report"]["jemalloc"]["stats"].is_object(), "{heap}");
    for wrong in ["seconds=0", "seconds=61", "minutes=1"] {
        assert_eq!(get(ops, &format!("/v1/profile/threads?{wrong}")).await.unwrap().status, 400, "{wrong}");
    }
    let (first, second) =
        tokio::join!(get(ops, "/v1/profile/threads?seconds=2"), get(ops, "/v1/profile/threads?seconds=2"));
    let mut answers = [first.unwrap(), second.unwrap()];
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 409]);
    let told = answers[0].json().unwrap();
    let threads = told["threads"].as_array().unwrap();
    assert!(threads.iter().any(|thread| thread["name"] == "shard-0"), "{told}");

    let cpu = get(ops, "/v1/profile/cpu?seconds=1").await.unwrap();
    if cfg!(feature = "profiling") {
        let profile = cpu.expect_status(200).unwrap();
        assert!(profile.body.windows(11).any(|window| window == b"nanoseconds"));
    } else {
        assert_eq!(cpu.status, 501, "{}", cpu.text());
        assert!(cpu.text().contains("--features profiling"), "{}", cpu.text());
    }
}
