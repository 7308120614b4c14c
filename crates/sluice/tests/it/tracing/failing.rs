//! A collector that is not there, or takes connections and says nothing, is nobody else's trouble.

use std::time::Instant;

use sluice_testkit::{Node, Role, SseOptions, eventually, free_address};
use tokio::net::TcpListener;

use super::{GONE_WITHIN, caller, publish, traced};
use crate::stage::{SLUICE, SOON, open};

async fn without(endpoint: &str, protocol: &str) {
    let mut node = traced(Node::builder(SLUICE, Role::Dev), protocol, endpoint)
        .env("SLUICE_TELEMETRY__OTLP__QUEUE_MAX", "4")
        .spawn()
        .await
        .unwrap();
    let mut stream = open(node.addr(), &["a"], &SseOptions::default()).await;
    for number in 0..20 {
        publish(&node, "a", &caller(number, "01").0).await;
    }
    assert_eq!(stream.events(20).await.unwrap().len(), 20);
    eventually("spans to be dropped", SOON, async || {
        node.metric("sluice_trace_spans_total").await.map(|lost| lost.unwrap_or(0.0) > 0.0).unwrap_or(false)
    })
    .await
    .unwrap();
    eventually("a complaint", SOON, async || node.log().contains("cannot send spans")).await.unwrap();
    let began = Instant::now();
    assert_eq!(node.terminate(SOON).await.unwrap(), 0);
    assert!(began.elapsed() < GONE_WITHIN, "gone after {:?}", began.elapsed());
    let log = node.log();
    assert_eq!(log.matches("cannot send spans").count(), 1, "{log}");
    assert!(!log.contains("hunter2") && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_not_there_delays_nobody() {
    let endpoint = format!("http://{}", free_address().unwrap());
    without(&endpoint, "grpc").await;
    without(&endpoint, "http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_says_nothing_delays_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    without(&endpoint, "grpc").await;
    without(&endpoint, "http").await;
}

/// An orchestrator kills a process that outlasts its grace period, so no export may take longer than what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_do_not_outlast_the_end_of_the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let node = traced(Node::builder(SLUICE, Role::Dev), "http", &endpoint);
    let mut node = node.env("SLUICE_TELEMETRY__OTLP__TIMEOUT_MS", "60000").spawn().await.unwrap();
    publish(&node, "a", &caller(1, "01").0).await;
    assert_eq!(node.terminate(SOON).await.unwrap(), 0);
    assert!(node.log().contains("could not send the last spans in time"), "{}", node.log());
}
