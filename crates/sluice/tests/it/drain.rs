//! A node that leaves: thousands of streams move to another node at the pace that was planned, under load, and
//! nothing is lost, repeated or reordered on the way.

use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_testkit::{Item, Node, RawConnection, SseOptions, eventually, get, request};

use crate::crowd::{Crowd, TOPICS};
use crate::stage::{Cluster, SOON, open};

const STREAMS: u32 = 5_000;
const WINDOW: Duration = Duration::from_secs(10);
/// Between two events, and two looks at the counters.
const LOOK: Duration = Duration::from_millis(150);
/// Between the posted drain and the first close.
const DELAY: Duration = Duration::from_secs(1);
/// Streams are counted while they close, and a look takes its time.
const TOLERANCE: f64 = 1.25;
/// How long clients on a busy machine may be held up, and then come back at once.
const CLIENTS_LATE: Duration = Duration::from_secs(2);

/// How a counter of a node grew: when each look began, when it was answered, and what it said.
struct Growth(Vec<(Instant, Instant, f64)>);

impl Growth {
    /// The most that it grew in any time of at least `least`, as a multiple of the even share of what was left at the time's
    /// beginning. A node that was held up spreads what it missed over what is left, which no such share is exceeded by.
    fn fastest_to(&self, whole: f64, end: Instant, least: Duration) -> f64 {
        let mut fastest = 0.0_f64;
        for (at, from) in self.0.iter().enumerate() {
            let time_left = end.saturating_duration_since(from.1);
            for to in self.0[at + 1..].iter().filter(|_| time_left > least) {
                let time = to.1.duration_since(from.0);
                if time >= least {
                    let share = (time.as_secs_f64() / time_left.as_secs_f64()).min(1.0);
                    fastest = fastest.max((to.2 - from.2) / ((whole - from.2) * share));
                }
            }
        }
        fastest
    }

    async fn look(&mut self, node: &Node, metric: &str) {
        let began = Instant::now();
        // A node that has ended has no more to say.
        if let Ok(count) = node.metric(metric).await {
            self.0.push((began, Instant::now(), count.unwrap_or(0.0)));
        }
    }

    /// The most that it grew in any time of at least `least`, as a multiple of `per_second`; `late` is added to
    /// each such time.
    fn fastest(&self, per_second: f64, least: Duration, late: Duration) -> f64 {
        let mut fastest = 0.0_f64;
        for (at, from) in self.0.iter().enumerate() {
            for to in &self.0[at + 1..] {
                // Never shorter than the true time between the two counts.
                let time = to.1.duration_since(from.0);
                if time >= least {
                    fastest = fastest.max((to.2 - from.2) / (per_second * (time + late).as_secs_f64()));
                }
            }
        }
        fastest
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_streams_move_to_another_node_at_the_planned_pace() {
    let mut cluster = Cluster::start_with(|node| {
        node.env("SLUICE_DRAIN__DELAY_MS", &DELAY.as_millis().to_string())
            .env("SLUICE_DRAIN__WINDOW_MS", &WINDOW.as_millis().to_string())
            .env("SLUICE_LIMITS__ACCEPT_BURST", "10000")
    })
    .await;
    let crowd = Crowd::gather_at(&cluster.addresses(), STREAMS as usize, |_| 0, SOON * 4).await;
    let ops = cluster.gateways[0].ops_addr();

    // At the earliest.
    let end = Instant::now() + DELAY + WINDOW;
    let answer = request(ops, "POST", "/v1/drain", &[], "").await.unwrap().expect_status(202).unwrap();
    let plan: Value = answer.json().unwrap();
    assert_eq!((plan["began"].as_bool(), plan["streams"].as_u64()), (Some(true), Some(u64::from(STREAMS))));
    let per_second = f64::from(STREAMS) / WINDOW.as_secs_f64();

    let (mut closed, mut opened) = (Growth(Vec::new()), Growth(Vec::new()));
    let deadline = Instant::now() + WINDOW + SOON;
    let mut number = 0;
    let mut beats = tokio::time::interval(LOOK);
    while opened.0.last().is_none_or(|(_, _, count)| *count < f64::from(STREAMS)) {
        assert!(Instant::now() < deadline, "{:?} came over", opened.0.last());
        cluster.publish_entered(&crowd.ledger, TOPICS[number % TOPICS.len()]).await;
        number += 1;
        beats.tick().await;
        closed.look(&cluster.gateways[0], "sluice_streams_closed_total").await;
        opened.look(&cluster.gateways[1], "sluice_streams_opened_total").await;
    }
    let code = cluster.gateways[0].exit(SOON).await.unwrap();
    let log = cluster.gateways[0].log();
    assert_eq!(code, 0, "it has drained, and ends by itself without a signal: {log}");
    for topic in TOPICS {
        cluster.publish_entered(&crowd.ledger, topic).await;
    }
    let left = closed.fastest_to(f64::from(STREAMS), end, Duration::from_secs(1));
    let came = opened.fastest(per_second, Duration::from_secs(2), CLIENTS_LATE);
    println!(
        "{number} events meanwhile; closes at most {left:.2} of what was left, accepts {came:.2} of the plan"
    );
    assert!(left <= TOLERANCE, "closed at {left:.2} times the even share of what was left");
    assert!(came <= TOLERANCE, "accepted at {came:.2} times the planned {per_second} a second");
    let clients = crowd.assert_exact("5,000 streams drained").await;
    assert!(clients.iter().all(|client| client.reconnections() == 1), "nobody was sent away twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_posted_drain_is_idempotent_and_refused_to_web_pages() {
    let mut cluster = Cluster::start_with(|node| {
        node.env("SLUICE_DRAIN__DELAY_MS", "4000").env("SLUICE_DRAIN__WINDOW_MS", "500")
    })
    .await;
    let (address, ops) = (cluster.addresses()[0], cluster.gateways[0].ops_addr());
    let mut stream = cluster.stream(0, &["a"], &SseOptions::default()).await;
    let page = [("origin", "https://elsewhere.example")];
    let refused = request(ops, "POST", "/v1/drain", &page, "").await.unwrap();
    assert_eq!(refused.status, 403);
    get(ops, "/readyz").await.unwrap().expect_status(200).unwrap();

    for first in [true, false] {
        let answer = request(ops, "POST", "/v1/drain", &[], "").await.unwrap();
        let told = answer.expect_status(202).unwrap().json().unwrap();
        assert_eq!(told["began"], first, "{told}");
        assert!(told["what"].as_str().unwrap().contains("4000 ms"), "{told}");
    }
    get(ops, "/readyz").await.unwrap().expect_status(503).unwrap();
    assert_eq!(cluster.gateways[0].metric("sluice_draining").await.unwrap(), Some(1.0));
    // Until balancers have noticed, it goes on as before.
    let mut late = open(address, &["a"], &SseOptions::default()).await;
    for stream in [&mut stream, &mut late] {
        assert!(matches!(stream.end().await.unwrap().last(), Some(Item::Retry(_))));
    }
    assert_eq!(cluster.gateways[0].exit(SOON).await.unwrap(), 0);
    // A publisher is drained in the same way.
    let answer = request(cluster.publisher.ops_addr(), "POST", "/v1/drain", &[], "").await.unwrap();
    assert_eq!(answer.expect_status(202).unwrap().json().unwrap()["streams"], Value::Null);
    assert_eq!(cluster.publisher.exit(SOON).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once_and_the_exit_code_says_so() {
    let mut cluster = Cluster::start_with(|node| node.env("SLUICE_DRAIN__DELAY_MS", "600000")).await;
    let ops = cluster.gateways[0].ops_addr();
    let _stream = cluster.stream(0, &["a"], &SseOptions::default()).await;
    request(ops, "POST", "/v1/drain", &[], "").await.unwrap().expect_status(202).unwrap();
    cluster.gateways[0].signal_term().unwrap();
    // What was posted is no signal: this was the first.
    eventually("the signal to be heard", SOON, async || {
        get(ops, "/readyz").await.is_ok_and(|answer| answer.status == 503)
            && cluster.gateways[0].log().contains("SIGTERM")
    })
    .await
    .unwrap();
    assert_eq!(cluster.gateways[0].terminate(SOON).await.unwrap(), 4, "{}", cluster.gateways[0].log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_nothing_is_cut_when_the_window_is_over_and_the_exit_code_says_so() {
    let mut cluster = Cluster::start_with(|node| node.env("SLUICE_DRAIN__WINDOW_MS", "1500")).await;
    let mut stuck = RawConnection::connect(cluster.addresses()[0]).await.unwrap();
    stuck.send("GET /v1/events?topic=a HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stuck.read_until("\nid: ").await.unwrap();
    let mut stream = cluster.stream(0, &["b"], &SseOptions::default()).await;
    let page = "x".repeat(200_000);
    eventually("the stream to take no more", SOON, async || {
        cluster.publish("a", &page).await;
        let waiting = ["sluice_streams_blocked", "sluice_streams_parked"];
        let mut sum = 0.0;
        for metric in waiting {
            sum += cluster.gateways[0].metric(metric).await.unwrap().unwrap_or(0.0);
        }
        sum == 1.0
    })
    .await
    .unwrap();
    assert_eq!(cluster.gateways[0].terminate(SOON).await.unwrap(), 3, "{}", cluster.gateways[0].log());
    assert!(matches!(stream.end().await.unwrap().last(), Some(Item::Retry(_))));
    assert!(cluster.gateways[0].log().contains("drained=1 cut=1"), "{}", cluster.gateways[0].log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_leaves_answers_an_open_batch_with_what_it_has_published() {
    let mut cluster = Cluster::start_with(|node| node.env("SLUICE_DRAIN__DELAY_MS", "0")).await;
    let mut stream = cluster.stream(0, &["a"], &SseOptions::default()).await;
    let mut batch = RawConnection::connect(cluster.publisher.publisher_addr()).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let line = "{\"topic\":\"a\",\"data\":\"one\"}\n";
    batch.send(format!("{head}{:x}\r\n{line}\r\n", line.len())).await.unwrap();
    stream.event().await.unwrap();
    cluster.publisher.signal_term().unwrap();
    // The body goes on for as long as the client likes; the answer does not wait for it.
    let answer = batch.read_until("\"failed\":1}").await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 207 "), "{answer}");
    assert!(answer.contains("\"published\":1") && answer.contains("problems/shutting-down"), "{answer}");
    assert_eq!(cluster.publisher.exit(SOON).await.unwrap(), 0, "{}", cluster.publisher.log());
}
