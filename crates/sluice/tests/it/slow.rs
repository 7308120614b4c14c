//! A client that does not read: nobody else notices, and when it reads again it has missed nothing.

use std::time::{Duration, Instant};

use sluice_testkit::{Continuity, Ledger, Resuming, SseOptions, SseStream, Start, eventually, publish_batch};

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
    let cluster = start(&small).await;
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

const DISCONNECT: [(&str, &str); 3] = [
    ("SLUICE_STREAMS__RING_EVENTS_MAX", "16"),
    ("SLUICE_STREAMS__RING_BYTES_MAX", "262144"),
    ("SLUICE_STREAMS__ON_LAG", "disconnect"),
];

/// With `on_lag = disconnect` the client is sent away and comes back with its cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_may_be_sent_away_instead() {
    let cluster = start(&DISCONNECT).await;
    let narrow = SseOptions { receive_buffer: Some(4_096), within: SOON, ..SseOptions::default() };
    let mut slow = Resuming::new(&cluster.addresses(), &["big"], narrow);
    slow.connect().await.unwrap();
    let ledger = Ledger::new();
    let books = ledger.client("sent away", &["big"], Start::Everything);
    for _ in 0..BATCHES {
        publish(&cluster, &ledger).await;
    }
    // It is sent away as soon as it takes something again; until then, nothing but its slot is kept for it.
    while !ledger.complete() {
        books.received(&slow.event().await.unwrap().data).unwrap();
    }
    let report = ledger.report();
    println!("sent away {} times\n{}\n{report}", slow.reconnections(), Continuity::HEADING);
    report.assert_exact().unwrap();
    assert!(slow.reconnections() >= 1);
    assert!(slow.controls().is_empty(), "{:?}", slow.controls());
}

/// It has not been in the ring yet, so the ring cannot have passed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_read_slowly_is_no_lag() {
    let cluster = start(&DISCONNECT).await;
    let ledger = Ledger::new();
    let books = ledger.client("replayed", &["big"], Start::Everything);
    for _ in 0..BATCHES {
        publish(&cluster, &ledger).await;
    }
    let gateway = &cluster.gateways[0];
    let narrow = SseOptions { receive_buffer: Some(4_096), within: SOON, ..crate::stage::since("earliest") };
    let mut slow = SseStream::open(gateway.addr(), &["big"], &narrow).await.unwrap();
    read(&mut slow, &books, BATCHES * BATCH_EVENTS).await;
    ledger.report().assert_exact().unwrap();
    assert_eq!(gateway.metric("sluice_streams_lagged_total").await.unwrap().unwrap_or(0.0), 0.0);
}

async fn start(settings: &[(&str, &str)]) -> Cluster {
    Cluster::start_with(|node| settings.iter().fold(node, |node, (name, value)| node.env(name, value))).await
}
