//! What streams over TLS and HTTP/2 keep in memory while they are connected.

use std::time::Duration;

use sluice_testkit::eventually;

use crate::secure::{Http2Stream, Secure, ask, read_until};
use crate::stage::{SOON, Stage};

async fn rings_are_empty(stage: &Stage) {
    eventually("rings without frames", SOON, async || match stage.gateway.polled_ring_bytes() {
        0 => Ok(()),
        bytes => Err(anyhow::anyhow!("{bytes} bytes")),
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_streams_of_a_feed_have_taken_is_not_kept() {
    let secure =
        Secure::start_on(|settings| settings.streams.heartbeat = Duration::from_millis(1), false, |_| {})
            .await;
    let mut plain = secure.connect(&["http/1.1"]).await.unwrap();
    ask(&mut plain, "a&topic=b").await;
    read_until(&mut plain, "\nid: ").await;
    let mut requests = secure.http2().await;
    let mut same = Http2Stream::open(&mut requests, "a&topic=b").await;
    let mut other = Http2Stream::open(&mut requests, "a").await;
    for round in 0..20 {
        for topic in ["a", "b"] {
            secure.stage.publish(topic, &format!("{topic}{round}{}", "x".repeat(10_000))).await;
        }
        read_until(&mut plain, &format!("data: b{round}")).await;
        same.until(&format!("data: b{round}")).await;
        other.until(&format!("data: a{round}")).await;
    }
    rings_are_empty(&secure.stage).await;
    // Checkpoints come to an idle stream as heartbeats do, and go.
    for _ in 0..3 {
        read_until(&mut plain, "id: ").await;
        rings_are_empty(&secure.stage).await;
    }
}
