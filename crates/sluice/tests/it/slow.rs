//! A client that does not read: nobody else notices, and when it reads again it has missed nothing.

use std::time::{Duration, Instant};

use sluice_testkit::{Continuity, Ledger, SseOptions, SseStream, Start, eventually, publish_batch};

use crate::stage::{Cluster, SOON};

const BATCHES: usize = 40;
const BATCH_EVENTS: usize = 64;
const EVENT_BYTES: usize = 8 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_alone_with_it() {
    let small = [
        ("SLUICE_STREAMS__RING_EVENTS_MAX", "16"),
        ("SLUICE_STREAMS__RING_BYTES_MAX", "262144"),
        ("SLUICE_TOPICS__WINDOW_EVENTS_MAX", "32"),
        ("SLUICE_TOPICS__WINDOW_BYTES_MAX", "262144"),
        ("SLUICE_STREAMS__CATCH_UP_PAGE_EVENTS", "16"),
    ];
    let cluster =
        Cluster::start_with(|node| small.iter().fold(node, |node, (name, value)| node.env(name, value)))
            .await;
    let gateway = &cluster.gateways[0];
    let narrow = SseOptions { receive_buffer: Some(4_096), within: SOON, ..SseOptions::default() };
    let mut slow =
        [cluster.stream(0, &["big"], &narrow).await, cluster.stream(0, &["big", "other"], &narrow).await];
    let mut healthy = cluster.stream(0, &["big"], &SseOptions::default()).await;

    let ledger = Ledger::new();
    let books =
        ["slow", "slow, two topics", "healthy"].map(|n| ledger.client(n, &["big"], Start::Everything));
    let mut longest = Duration::ZERO;
    for _ in 0..BATCHES {
        let began = Instant::now();
        publish(&cluster, &ledger).await;
        for event in healthy.events(BATCH_EVENTS).await.unwrap() {
            books[2].received(&event.data).unwrap();
        }
        longest = longest.max(began.elapsed());
    }
    eventually("both slow streams to be passed by the ring", SOON, async || {
        let lagged = gateway.metric("sluice_streams_lagged_total").await?;
        anyhow::ensure!(lagged >= Some(2.0), "{lagged:?} lagged");
        Ok(())
    })
    .await
    .unwrap();
    let rss = gateway.rss_bytes().unwrap();
    println!(
        "healthy beside slow: longest {BATCH_EVENTS}-event batch {longest:?}, node at {} KiB",
        rss >> 10
    );

    let (first, second) = slow.split_at_mut(1);
    let reading = |stream, books| read(stream, books, BATCHES * BATCH_EVENTS);
    tokio::join!(reading(&mut first[0], &books[0]), reading(&mut second[0], &books[1]));
    // They are live again.
    publish(&cluster, &ledger).await;
    for (stream, books) in slow.iter_mut().chain([&mut healthy]).zip(&books) {
        read(stream, books, BATCH_EVENTS).await;
        assert!(stream.controls().is_empty(), "{:?}", stream.controls());
    }
    let report = ledger.report();
    println!("slow readers\n{}\n{report}", Continuity::HEADING);
    report.assert_exact().unwrap();
    let open = gateway.metric("sluice_streams_open").await.unwrap();
    assert_eq!(open, Some(3.0));
}

async fn publish(cluster: &Cluster, ledger: &Ledger) {
    let publications: Vec<_> = (0..BATCH_EVENTS).map(|_| ledger.publish("big")).collect();
    let filler = "x".repeat(EVENT_BYTES);
    let payloads: Vec<_> = publications.iter().map(|p| format!("{} {filler}", p.payload)).collect();
    let lines: Vec<_> = payloads.iter().map(|payload| ("big", payload.as_str())).collect();
    let ids = publish_batch(cluster.publisher.publisher_addr(), &lines).await.unwrap();
    for (publication, id) in publications.iter().zip(ids) {
        ledger.acknowledge(publication, id.unwrap());
    }
}

async fn read(stream: &mut SseStream, books: &sluice_testkit::ClientLedger, count: usize) {
    for event in stream.events(count).await.unwrap() {
        books.received(&event.data).unwrap();
    }
}

/// With `on_lag = disconnect` the client is sent away and comes back with its cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_may_be_sent_away_instead() {
    let small = [
        ("SLUICE_STREAMS__RING_EVENTS_MAX", "16"),
        ("SLUICE_STREAMS__RING_BYTES_MAX", "262144"),
        ("SLUICE_STREAMS__ON_LAG", "disconnect"),
    ];
    let cluster =
        Cluster::start_with(|node| small.iter().fold(node, |node, (name, value)| node.env(name, value)))
            .await;
    let narrow = SseOptions { receive_buffer: Some(4_096), within: SOON, ..SseOptions::default() };
    let mut slow = cluster.stream(0, &["big"], &narrow).await;
    let ledger = Ledger::new();
    let books = ledger.client("sent away", &["big"], Start::Everything);
    for _ in 0..BATCHES {
        publish(&cluster, &ledger).await;
    }
    let gateway = &cluster.gateways[0];
    eventually("the slow stream to be closed", SOON, async || {
        gateway.metric("sluice_streams_open").await.map(|open| open == Some(0.0)).unwrap_or(false)
    })
    .await
    .unwrap();
    while let Ok(event) = slow.event().await {
        books.received(&event.data).unwrap();
    }
    let cursor = slow.last_event_id().to_owned();
    let mut again = cluster.stream(1, &["big"], &crate::stage::behind(&cursor)).await;
    read(&mut again, &books, BATCHES * BATCH_EVENTS - books.count()).await;
    let report = ledger.report();
    println!("sent away\n{}\n{report}", Continuity::HEADING);
    report.assert_exact().unwrap();
}
