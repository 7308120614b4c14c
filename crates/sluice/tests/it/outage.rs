//! Redis goes away and comes back: streams stay open, are told, and get everything.

use std::time::Duration;

use sluice_testkit::{Direction, Ledger, Node, Proxy, RedisServer, Resuming, eventually, publish_with};

use crate::crowd::{Crowd, TOPICS};
use crate::stage::{SOON, gateway, publisher};

const STREAMS: usize = 40;

/// Publishes to all topics in turn. What is not acknowledged is tried again with its key.
async fn publish(publisher: &Node, ledger: &Ledger, count: usize) {
    for number in 0..count {
        let topic = TOPICS[number % TOPICS.len()];
        let publication = ledger.publish(topic);
        let key = format!("{topic}-{}", publication.number);
        let headers = [("idempotency-key", key.as_str())];
        let id = eventually("an acknowledgement", SOON, async || {
            publish_with(publisher.publisher_addr(), topic, &publication.payload, &headers).await
        });
        ledger.acknowledge(&publication, id.await.unwrap());
    }
}

async fn redis_is(node: &Node, up: bool) {
    let wanted = Some(if up { 1.0 } else { 0.0 });
    eventually("the node to notice", SOON, async || match node.metric("sluice_redis_up").await? {
        up if up == wanted => Ok(()),
        other => anyhow::bail!("sluice_redis_up is {other:?}"),
    })
    .await
    .unwrap();
}

/// Nobody had to reconnect, and everybody was told of each loss and each return.
fn assert_told(clients: &[Resuming], losses: usize) {
    for client in clients {
        assert_eq!(client.reconnections(), 0, "a stream was closed");
        let told: Vec<_> = client.controls().iter().map(|event| event.event_type.as_str()).collect();
        assert_eq!(told, ["sluice.stale", "sluice.live"].repeat(losses));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_started_again() {
    let mut redis =
        RedisServer::builder().appendonly(true).arg("appendfsync", "always").start().await.unwrap();
    let (node, publisher) = tokio::join!(gateway(&redis.url()).spawn(), publisher(&redis.url()).spawn());
    let (node, publisher) = (node.unwrap(), publisher.unwrap());
    let crowd = Crowd::gather(&[node.addr()], STREAMS).await;
    publish(&publisher, &crowd.ledger, 60).await;
    for _ in 0..2 {
        redis.kill().unwrap();
        redis_is(&node, false).await;
        redis.restart().await.unwrap();
        // The node is still coming back while these are published.
        publish(&publisher, &crowd.ledger, 60).await;
        redis_is(&node, true).await;
        publish(&publisher, &crowd.ledger, 30).await;
    }
    let clients = crowd.assert_exact("redis-server killed and restarted twice, append-only").await;
    assert_told(&clients, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cut_off_from_redis_for_seconds() {
    let redis = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let through = redis.url_through(proxy.addr());
    let (node, publisher) = tokio::join!(gateway(&through).spawn(), publisher(&redis.url()).spawn());
    let (node, publisher) = (node.unwrap(), publisher.unwrap());
    let crowd = Crowd::gather(&[node.addr()], STREAMS).await;
    publish(&publisher, &crowd.ledger, 60).await;
    proxy.cut().await;
    redis_is(&node, false).await;
    publish(&publisher, &crowd.ledger, 300).await;
    proxy.restore().await.unwrap();
    publish(&publisher, &crowd.ledger, 60).await;
    redis_is(&node, true).await;
    publish(&publisher, &crowd.ledger, 30).await;
    let clients = crowd.assert_exact("cut off by a refused connection").await;
    assert_told(&clients, 1);
}

/// The half-dead link of a silent firewall: nothing is refused, nothing arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_went_silent() {
    let redis = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let quick = gateway(&redis.url_through(proxy.addr()))
        .env("SLUICE_REDIS__PROBE_INTERVAL_MS", "200")
        .env("SLUICE_REDIS__PROBE_DEADLINE_MS", "3000")
        .env("SLUICE_REDIS__RESPONSE_TIMEOUT_MS", "3000");
    let (node, publisher) = tokio::join!(quick.spawn(), publisher(&redis.url()).spawn());
    let (node, publisher) = (node.unwrap(), publisher.unwrap());
    let crowd = Crowd::gather(&[node.addr()], STREAMS).await;
    publish(&publisher, &crowd.ledger, 60).await;
    proxy.swallow(Direction::ToClient);
    publish(&publisher, &crowd.ledger, 300).await;
    redis_is(&node, false).await;
    proxy.restore().await.unwrap();
    publish(&publisher, &crowd.ledger, 60).await;
    redis_is(&node, true).await;
    publish(&publisher, &crowd.ledger, 30).await;
    let clients = crowd.assert_exact("a silent link").await;
    assert_told(&clients, 1);
}

/// Readiness outlasts a loss that all nodes share, unless it is wanted otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_outlasts_a_loss_unless_it_shall_not() {
    let mut redis = RedisServer::start().await.unwrap();
    let strict = gateway(&redis.url()).env("SLUICE_OPS__UNREADY_ON_REDIS_LOSS", "true");
    let (node, strict) = tokio::join!(gateway(&redis.url()).spawn(), strict.spawn());
    let (node, mut strict) = (node.unwrap(), strict.unwrap());
    redis.kill().unwrap();
    redis_is(&node, false).await;
    redis_is(&strict, false).await;
    let readyz = |node: &Node| {
        let address = node.ops_addr();
        async move { sluice_testkit::get(address, "/readyz").await.unwrap().status }
    };
    assert_eq!((readyz(&node).await, readyz(&strict).await), (200, 503));
    redis.restart().await.unwrap();
    strict.ready().await.unwrap();
    assert_eq!(strict.terminate(Duration::from_secs(20)).await.unwrap(), 0);
}
