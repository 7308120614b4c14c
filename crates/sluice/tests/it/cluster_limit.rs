//! The limit on streams of a subject that all nodes share: two gateways of one Redis, what becomes of it when a node is
//! killed or leaves, and that nobody is refused for a Redis that is away.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};
use sluice_testkit::{Item, Node, RedisServer, SseStream, eventually, request};
use tokio::task::JoinSet;

use crate::access::{closed, token, with_token};
use crate::stage::{SOON, gateway};

const MAX: usize = 3;
const REASON: &str = "cluster-streams-per-subject-max";

async fn node(redis: &RedisServer) -> Node {
    let node = closed(gateway(&redis.url()));
    node.env("SLUICE_LIMITS__CLUSTER_STREAMS_PER_SUBJECT_MAX", &MAX.to_string()).spawn().await.unwrap()
}

async fn two_nodes() -> (RedisServer, Node, Node) {
    let redis = RedisServer::start().await.unwrap();
    let (first, second) = tokio::join!(node(&redis), node(&redis));
    (redis, first, second)
}

/// A stream of a subject, or why it is shed.
async fn open(node: &Node, subject: &str) -> Result<SseStream, String> {
    open_at(node.addr(), subject).await
}

async fn open_at(address: SocketAddr, subject: &str) -> Result<SseStream, String> {
    let options = with_token(&token(&json!({"sub": subject})));
    let mut stream = SseStream::open(address, &["orders/1"], &options).await.unwrap();
    assert_eq!(stream.status(), 200, "EventSource never comes back after anything else");
    loop {
        match stream.next().await.unwrap().expect("a cursor or a reason") {
            Item::Id(_) => return Ok(stream),
            Item::Event(event) if event.event_type == "sluice.stale" => return Ok(stream),
            Item::Event(event) => {
                assert_eq!(event.event_type, "sluice.shed");
                let data: Value = serde_json::from_str(&event.data).unwrap();
                return Err(data["reason"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
}

/// Whoever is let in otherwise was let in because the nodes could not ask each other in time, on a machine that is busy.
async fn refused(node: &Node, subject: &str) {
    let unchecked = async || node.metric("sluice_cluster_limit_unchecked_total").await.unwrap();
    let mut before = unchecked().await;
    while let Ok(stream) = open(node, subject).await.inspect_err(|reason| assert_eq!(reason, REASON)) {
        drop(stream);
        let after = unchecked().await;
        assert!(after > before, "more streams than there may be");
        before = after;
    }
}

/// A stream, as soon as it is let in.
async fn open_soon(node: &Node, subject: &str) -> SseStream {
    let mut stream = None;
    eventually("room for a stream", SOON, async || {
        stream = open(node, subject).await.ok();
        stream.is_some()
    })
    .await
    .unwrap();
    stream.unwrap()
}

/// The answer to a client that can read a status.
async fn status(address: SocketAddr, subject: &str) -> (u16, String, u64) {
    let bearer = format!("Bearer {}", token(&json!({"sub": subject})));
    let headers = [("accept", "*/*"), ("authorization", bearer.as_str())];
    let answer = request(address, "GET", "/v1/events?topic=orders/1", &headers, "").await.unwrap();
    let kind = answer.json().unwrap()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (answer.status, kind, answer.header("retry-after").unwrap().parse().unwrap())
}

/// Nodes of which Redis knows that they hold streams.
async fn leases(redis: &RedisServer) -> usize {
    redis.cli(&["keys", "sluice:held:*"]).await.unwrap().lines().filter(|line| !line.is_empty()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_has_as_many_streams_on_all_nodes_as_it_may() {
    let (_redis, first, second) = two_nodes().await;
    let mut streams = vec![open(&first, "u7").await.unwrap()];
    streams.push(open(&second, "u7").await.unwrap());
    streams.push(open(&first, "u7").await.unwrap());
    for node in [&first, &second] {
        refused(node, "u7").await;
        let (answered, kind, retry_s) = status(node.addr(), "u7").await;
        assert_eq!((answered, kind.as_str()), (429, REASON));
        assert!((5..=15).contains(&retry_s), "{retry_s}");
        assert_eq!(node.metric("sluice_admission_refused_total").await.unwrap(), Some(2.0));
    }
    let _other = open(&second, "u8").await.unwrap();
    drop(streams.pop());
    let _again = open_soon(&second, "u7").await;
    refused(&first, "u7").await;
}

/// However many come at the same moment, wherever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_all_nodes_at_once_gets_no_more() {
    let (_redis, first, second) = two_nodes().await;
    for subject in ["u1", "u2", "u3", "u4"] {
        let mut crowd = JoinSet::new();
        for address in [first.addr(), second.addr()].into_iter().cycle().take(12) {
            crowd.spawn(open_at(address, subject));
        }
        let mut held: Vec<SseStream> = crowd.join_all().await.into_iter().flatten().collect();
        assert!(held.len() <= MAX, "{}", held.len());
        // Those that were refused counted for each other: what nobody got is there for who asks next.
        while held.len() < MAX {
            held.push(open_soon(if held.len().is_multiple_of(2) { &first } else { &second }, subject).await);
        }
        refused(&first, subject).await;
        refused(&second, subject).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_held_is_free_when_it_is_gone() {
    let (redis, mut first, second) = two_nodes().await;
    let mut held = Vec::new();
    for _ in 0..MAX {
        held.push(open(&first, "u7").await.unwrap());
    }
    refused(&second, "u7").await;
    first.kill().unwrap();
    refused(&second, "u7").await;
    let stream = open_soon(&second, "u7").await;
    first.restart().await.unwrap();
    // A node that leaves says so: nothing waits for the end of its lease.
    let _own = open(&first, "u7").await.unwrap();
    eventually("the lease of the killed node to be over", SOON, async || leases(&redis).await == 2)
        .await
        .unwrap();
    assert_eq!(first.terminate(SOON).await.unwrap(), 0);
    assert_eq!(leases(&redis).await, 1);
    drop(stream);
    eventually("the last to be given back", SOON, async || leases(&redis).await == 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_refuses_nobody_and_the_limit_comes_back_with_it() {
    let (mut redis, first, second) = two_nodes().await;
    let mut of_first = vec![open(&first, "u7").await.unwrap(), open(&first, "u7").await.unwrap()];
    let mut of_second = vec![open(&second, "u7").await.unwrap()];
    refused(&second, "u7").await;
    redis.kill().unwrap();
    while of_second.len() < MAX {
        of_second.push(open_soon(&second, "u7").await);
    }
    refused(&second, "u7").await;
    of_first.push(open_soon(&first, "u7").await);
    let unchecked = second.metric("sluice_cluster_limit_unchecked_total").await.unwrap().unwrap();
    assert!(unchecked >= 2.0, "{unchecked}");
    redis.restart().await.unwrap();
    // This one came back with nothing: it is told all anew.
    eventually("both nodes to speak again", SOON, async || leases(&redis).await == 2).await.unwrap();
    drop(of_second);
    refused(&second, "u7").await;
    drop(of_first);
    open_soon(&second, "u7").await;
}

/// What nodes tell each other goes in few words, however many streams there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_costs_redis_commands_by_the_word_and_not_by_the_stream() {
    const STREAMS: usize = 400;
    let (redis, first, second) = two_nodes().await;
    let rounds = async || {
        let rounds = [&first, &second].map(|node| node.metric("sluice_cluster_limit_rounds_total"));
        let [of_first, of_second] = rounds;
        of_first.await.unwrap().unwrap() + of_second.await.unwrap().unwrap()
    };
    let (rounds_before, commands_before, began) = (rounds().await, commands(&redis).await, Instant::now());
    let mut crowd = JoinSet::new();
    for (number, address) in (0..STREAMS).zip([first.addr(), second.addr()].into_iter().cycle()) {
        crowd.spawn(async move { open_at(address, &format!("u{number}")).await });
    }
    let held: Vec<SseStream> = crowd.join_all().await.into_iter().map(Result::unwrap).collect();
    let rounds = rounds().await - rounds_before;
    let commands = commands(&redis).await - commands_before;
    assert_eq!(held.len(), STREAMS);
    let elapsed_s = began.elapsed().as_secs_f64();
    assert!(rounds <= 2.0 * (elapsed_s * 10.0 + 2.0), "{rounds} words in {elapsed_s} s");
    assert!(f64::from(commands) <= 10.0 * (rounds + 2.0), "{commands} commands in {rounds} words");
}

/// How many commands Redis was sent for what nodes hold.
async fn commands(redis: &RedisServer) -> u32 {
    let stats = redis.cli(&["info", "commandstats"]).await.unwrap();
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let ours = ["hset", "hdel", "hkeys", "hmget", "pexpire", "exists", "hlen"].contains(&name);
        ours.then(|| rest.split(',').next()?.parse::<u32>().ok())?
    };
    stats.lines().filter_map(calls).sum()
}
