//! A node dies under many streams, and all of them come to another one at once: that takes them at its rate of
//! admission, and what Redis is asked for depends on topics and time, not on how many came.

use std::cell::Cell;
use std::iter::{once, repeat_n};
use std::time::{Duration, Instant};

use sluice_testkit::{NodeBuilder, Resuming, eventually};

use crate::crowd::{Crowd, TOPICS};
use crate::redis_load;
use crate::stage::{Cluster, SOON};

const STREAMS: usize = 10_000;
const EVENTS: usize = 100;
/// Between two events.
const BEAT: Duration = Duration::from_millis(100);

/// Of the node that takes the storm: far less than comes at once.
const ACCEPT_PER_SECOND: usize = 600;
const ACCEPT_BURST: usize = 200;
/// How far above the rate a look from outside may see it: the counter is read some time before it is noted.
const TOLERANCE: f64 = 1.1;

/// The clients divide their waits by 50: told 400 s, less or more by half, they come again after 4 to 12 s.
const RETRY_MS: usize = 400_000;
const SHORTEST_WAIT: Duration = Duration::from_secs(4);

/// Reads of logs for the whole storm: each event's append makes one, nodes look at their topics about once a
/// second, and the hundreds of streams that stand at about the same place share what they read.
const READS_MAX: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_node_that_died_come_back_at_the_rate_of_admission_and_redis_reads_by_topic() {
    let mut cluster = start().await;
    let [dying, taking] = cluster.addresses();
    // As behind a balancer that has noticed the death by the time clients come again.
    let addresses: Vec<_> = once(dying).chain(repeat_n(taking, 999)).collect();
    let crowd = Crowd::gather_at(&addresses, STREAMS, |_| 0, SOON * 4).await;
    assert_eq!(cluster.gateways[0].metric("sluice_streams_open").await.unwrap(), Some(as_f64(STREAMS)));

    redis_load::count_from_now(&cluster.redis).await;
    cluster.gateways[0].kill().unwrap();
    let storm = Instant::now();
    let mut beats = tokio::time::interval(BEAT);
    for number in 0..EVENTS {
        cluster.publish_entered(&crowd.ledger, TOPICS[number % TOPICS.len()]).await;
        let taken = opened(&cluster).await;
        let most = as_f64(ACCEPT_BURST) + as_f64(ACCEPT_PER_SECOND) * storm.elapsed().as_secs_f64();
        assert!(taken <= most * TOLERANCE, "{taken} streams were taken after {:?}", storm.elapsed());
        beats.tick().await;
    }
    eventually("every stream on the other node", SOON * 3, async || {
        opened(&cluster).await == as_f64(STREAMS)
    })
    .await
    .unwrap();
    let took = storm.elapsed();
    let node = &cluster.gateways[1];
    let shed = node.metric("sluice_admission_refused_total").await.unwrap().unwrap_or(0.0);
    let saved = node.metric("sluice_replay_reads_saved_total").await.unwrap().unwrap_or(0.0);
    let clients = crowd.assert_exact(&format!("SIGKILL of a node with {STREAMS} streams")).await;
    let reads = redis_load::reads(&cluster.redis).await;
    let calls: u64 = reads.values().sum();
    println!("all back after {took:?}, {shed} times shed; {calls} reads of logs {reads:?}, {saved} saved");

    assert!(shed > 0.0, "nobody was shed: this was no storm");
    let tries: usize = clients.iter().map(Resuming::reconnections).sum();
    assert_eq!(
        as_f64(tries - STREAMS),
        shed,
        "each came back once, and was shed as often as it came besides"
    );
    let tries_each = took.as_secs_f64() / SHORTEST_WAIT.as_secs_f64() + 1.0;
    let most = clients.iter().map(Resuming::reconnections).max().unwrap();
    assert!(as_f64(most) <= tries_each, "{most} tries of one client in {took:?}: it did not wait as told");
    assert!((1..READS_MAX).contains(&calls), "{calls} reads of logs: {reads:?}");
}

/// A node that takes everybody at once, and one that does not.
async fn start() -> Cluster {
    let gateways = Cell::new(0);
    Cluster::start_with(|node| {
        let node = node.env("SLUICE_STREAMS__RETRY_MS", &RETRY_MS.to_string());
        if gateways.replace(gateways.get() + 1) == 0 {
            accept(node, STREAMS, STREAMS)
        } else {
            accept(node, ACCEPT_PER_SECOND, ACCEPT_BURST)
        }
    })
    .await
}

fn accept(node: NodeBuilder, per_second: usize, burst: usize) -> NodeBuilder {
    node.env("SLUICE_LIMITS__ACCEPT_PER_SECOND", &per_second.to_string())
        .env("SLUICE_LIMITS__ACCEPT_BURST", &burst.to_string())
}

async fn opened(cluster: &Cluster) -> f64 {
    cluster.gateways[1].metric("sluice_streams_opened_total").await.unwrap().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
