//! The follower over a Redis that fails in all the ways it does.

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{FollowerSettings, Retention};
use sluice_testkit::{Direction, Proxy, RedisServer, eventually};
use sluice_wire::{EventId, NewEvent};

use crate::journal::{Following, Journal, quick, without_tail_check};
use crate::stage::{SOON, Stage, settings, topic};

const EVENTS: usize = 2_000;

async fn durable() -> Stage {
    // With the default `everysec`, Redis answers up to two seconds before it writes, and what is killed then
    // was acknowledged and is gone: a rewind, which is another test.
    let server = RedisServer::builder().appendonly(true).arg("appendfsync", "always").start().await.unwrap();
    Stage::with(settings(&server.url(), Retention::UNLIMITED), Some(server))
}

impl Stage {
    fn server(&self) -> &RedisServer {
        self.server.as_ref().unwrap()
    }
}

/// Publishes events one after the other until `EVENTS` are acknowledged, again with its key where an answer
/// failed; their ids.
fn publish(stage: &Stage) -> tokio::task::JoinHandle<Vec<EventId>> {
    let broker = Arc::clone(&stage.broker);
    stage.tracker.spawn(async move {
        let mut ids = Vec::new();
        while ids.len() < EVENTS {
            let key = sluice_wire::IdempotencyKey::parse(format!("k{}", ids.len())).unwrap();
            let event = NewEvent { key: Some(key), ..NewEvent::new(topic("t"), ids.len().to_string()) };
            if let Ok(appended) = broker.append(&[event]).await.remove(0) {
                ids.push(appended.id);
            } else {
                tokio::task::yield_now().await;
            }
        }
        ids
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing() {
    let stage = durable().await;
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t")]).await;
    let publishing = publish(&stage);
    for round in 1..=5 {
        let heard = following.journal.book(&topic("t")).events.len();
        following.journal.wait_for("more events", |j| j.book(&topic("t")).events.len() > heard + 20).await;
        stage.server().cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
        let reconnected = async || following.follower.status().reconnects >= round;
        eventually("the loss to be noticed", SOON, reconnected).await.unwrap();
    }
    let ids = publishing.await.unwrap();
    following.journal.assert_exact(&topic("t"), &ids).await;
    let live = async || following.follower.status().live;
    eventually("the link to be live again", SOON, live).await.unwrap();
    assert!(following.journal.links() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_loses_nothing_that_it_kept() {
    let mut stage = durable().await;
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t"), topic("quiet")]).await;
    let quiet = stage.fill("quiet", 0..1).await;
    let publishing = publish(&stage);
    for _ in 0..2 {
        let heard = following.journal.book(&topic("t")).events.len();
        following.journal.wait_for("more events", |j| j.book(&topic("t")).events.len() > heard + 50).await;
        stage.server.as_mut().unwrap().restart().await.unwrap();
    }
    let ids = publishing.await.unwrap();
    following.journal.assert_exact(&topic("t"), &ids).await;
    following.journal.assert_exact(&topic("quiet"), &quiet).await;
    following.journal.wait_for("the link", Journal::is_live).await;
    let more = stage.fill("quiet", 1..2).await;
    following.journal.assert_exact(&topic("quiet"), &[quiet[0], more[0]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_data_is_told_as_rewound() {
    let mut stage = durable().await;
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t")]).await;
    let ids = stage.fill("t", 0..5).await;
    following.journal.assert_exact(&topic("t"), &ids).await;
    // What a failover to a replica that lagged leaves behind: a log that never had the newest entry.
    stage.server().cli(&["DEL", "sluice:{t}:log"]).await.unwrap();
    for (n, id) in ids[..4].iter().enumerate() {
        let (id, data) = (id.to_string(), n.to_string());
        stage.server().cli(&["XADD", "sluice:{t}:log", &id, "data", &data]).await.unwrap();
    }
    stage.server.as_mut().unwrap().restart().await.unwrap();
    following.journal.wait_for("a gap", |journal| journal.book(&topic("t")).gaps.len() == 1).await;
    let gap = following.journal.book(&topic("t")).gaps.remove(0);
    assert_eq!((gap.reason.as_str(), gap.from), ("rewound", ids[4]));
    // Connections of the pool that the restart broke answer the first request with that.
    let appended = async || stage.broker.append(&[NewEvent::new(topic("t"), "5")]).await.remove(0);
    let next = eventually("an append", SOON, appended).await.unwrap().id;
    following.journal.wait_for("the next event", |j| j.book(&topic("t")).events.ends_with(&[next])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_by_the_output_limit_loses_nothing() {
    let server =
        RedisServer::builder().arg("client-output-buffer-limit", "pubsub 256kb 0 0").start().await.unwrap();
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let through = settings(&server.url_through(proxy.addr()), Retention::UNLIMITED);
    let publisher = Stage::with(settings(&server.url(), Retention::UNLIMITED), None);
    let stage = Stage::with(through, Some(server));
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t")]).await;
    proxy.throttle(1 << 20);
    let payload = "x".repeat(16 * 1024);
    let mut ids = Vec::new();
    for _ in 0..40 {
        let events: Vec<_> = (0..20).map(|_| NewEvent::new(topic("t"), payload.clone())).collect();
        ids.extend(publisher.broker.append(&events).await.into_iter().map(|answer| answer.unwrap().id));
    }
    let cut = async || following.follower.status().reconnects > 0;
    eventually("the output limit to cut the subscriber", SOON, cut).await.unwrap();
    proxy.restore().await.unwrap();
    following.journal.assert_exact(&topic("t"), &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_costs_quiet_topics_no_read_of_their_own() {
    let stage = Stage::redis(Retention::default()).await;
    let following = Following::with(&stage, without_tail_check());
    let topics: Vec<_> = (0..1500).map(|n| topic(&format!("t{n}"))).collect();
    let events: Vec<_> = topics.iter().map(|topic| NewEvent::new(topic.clone(), "x")).collect();
    assert!(stage.broker.append(&events[..1000]).await.iter().all(Result::is_ok));
    following.journal.wait_for("the link", Journal::is_live).await;
    following.follower.follow(&topics).await;
    stage.server().cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
    following.journal.wait_for("the link again", |journal| journal.links() >= 3 && journal.is_live()).await;
    let status = following.follower.status();
    assert_eq!((status.live, status.holes_found, status.gaps), (true, 0, 0));
    assert!(status.tail_checks <= 3 && status.tail_checked_topics >= 1500, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_noticed() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let mut through = settings(&server.url_through(proxy.addr()), Retention::UNLIMITED);
    through.redis.probe_deadline = Duration::from_millis(300);
    through.redis.connect_timeout = Duration::from_millis(300);
    through.redis.response_timeout = Duration::from_secs(1);
    let publisher = Stage::with(settings(&server.url(), Retention::UNLIMITED), None);
    let stage = Stage::with(through, Some(server));
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t")]).await;
    let probed = async || following.follower.status().probe_round_trip.is_some();
    eventually("a probe", SOON, probed).await.unwrap();
    proxy.swallow(Direction::ToClient);
    let ids = publisher.fill("t", 0..10).await;
    following.journal.wait_for("the silence to be noticed", |j| j.links() >= 2 && !j.is_live()).await;
    proxy.restore().await.unwrap();
    following.journal.assert_exact(&topic("t"), &ids).await;
    following.journal.wait_for("the link", Journal::is_live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_starts_before_its_redis() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().unwrap();
    let mut stage = Stage::with(settings(&server.url(), Retention::default()), Some(server));
    let following = Following::start(&stage);
    let follower = following.follower.clone();
    let opening = stage.tracker.spawn(async move { follower.follow(&[topic("t")]).await });
    assert!(!following.follower.status().live);
    stage.server.as_mut().unwrap().restart().await.unwrap();
    tokio::time::timeout(SOON, opening).await.unwrap().unwrap();
    let ids = stage.fill("t", 0..3).await;
    following.journal.assert_exact(&topic("t"), &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_behind_a_slow_line_keeps_its_order() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let through = settings(&server.url_through(proxy.addr()), Retention::UNLIMITED);
    let publisher = Stage::with(settings(&server.url(), Retention::UNLIMITED), None);
    let stage = Stage::with(through, Some(server));
    // The tail check reads ahead of announcements that are late all the time.
    let settings = FollowerSettings { tail_interval: Duration::from_millis(5), ..quick() };
    let following = Following::with(&stage, settings);
    following.follower.follow(&[topic("t")]).await;
    proxy.delay(Duration::from_millis(20));
    let mut ids = Vec::new();
    for n in 0..200 {
        ids.extend(publisher.fill("t", n * 5..n * 5 + 5).await);
    }
    following.journal.assert_exact(&topic("t"), &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_every_task() {
    let stage = Stage::redis(Retention::default()).await;
    let following = Following::start(&stage);
    following.follower.follow(&[topic("t")]).await;
    let handle = following.follower.clone();
    following.stop.cancel();
    eventually("the tasks to end", SOON, async || stage.tracker.is_empty()).await.unwrap();
    handle.follow(&[topic("u")]).await;
}
