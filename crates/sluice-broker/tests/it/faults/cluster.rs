//! A cluster whose slots and primaries move.

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{FollowerSettings, Retention};
use sluice_testkit::{RedisCluster, eventually};
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{assert_true_to_the_log, enough, publish};
use crate::journal::{Following, quick, without_tail_check};
use crate::listening::Notes;
use crate::stage::{SOON, Stage, by_tls, settings, topic};

fn stage(cluster: &RedisCluster) -> Stage {
    Stage::with(settings(&cluster.url(), Retention::UNLIMITED), None)
}

/// Topics of every shard.
fn topics() -> Vec<Topic> {
    (0..6).map(|n| topic(&format!("t{n}"))).collect()
}

/// All topics are followed and published to, until the token says that enough has happened.
async fn under_load(
    stage: &Stage,
    settings: FollowerSettings,
) -> (Following, CancellationToken, Vec<JoinHandle<Vec<EventId>>>) {
    let following = Following::with(stage, settings);
    following.follower.follow(&topics()).await;
    let over = CancellationToken::new();
    let publishing = topics().iter().map(|topic| publish(stage, topic.as_str(), &over)).collect();
    (following, over, publishing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    is_replaced(cluster, stage).await;
}

/// Its layout and its redirections name ports for TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_by_tls_has_slots_moved_and_a_killed_primary_replaced() {
    let cluster = RedisCluster::builder().tls().unwrap().start().await.unwrap();
    let settings = by_tls(settings(&cluster.url(), Retention::UNLIMITED), &cluster.nodes()[0]);
    let stage = Stage::with(settings, None);
    stage.fill("moved", 0..3).await;
    cluster.migrate_slot_of("moved").await.unwrap();
    stage.fill("moved", 3..6).await;
    let page = stage.broker.read(&topic("moved"), EventId::ZERO, EventId::MAX, 100).await.unwrap();
    assert_eq!(page.events.len(), 6);
    is_replaced(cluster, stage).await;
}

/// `unknown-endpoint`: a node is where it was asked, whatever its own address; so is whoever it redirects to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_an_endpoint_are_where_they_were_asked() {
    let builder = RedisCluster::builder().arg("cluster-preferred-endpoint-type", "unknown-endpoint");
    let cluster = builder.start().await.unwrap();
    let url = cluster.url().replace("127.0.0.1", "localhost");
    let stage = Stage::with(settings(&url, Retention::UNLIMITED), None);
    for topic in topics() {
        assert_eq!(stage.fill(topic.as_str(), 0..3).await.len(), 3);
        let page = stage.broker.read(&topic, EventId::ZERO, EventId::MAX, 100).await.unwrap();
        assert_eq!(page.events.len(), 3, "{topic}");
    }
    let partitions: Vec<String> = stage.broker.partitions().iter().map(ToString::to_string).collect();
    assert_eq!(partitions.len(), 3, "{partitions:?}");
    assert!(partitions.iter().all(|name| name.starts_with("localhost:")), "{partitions:?}");
    stage.fill("moved", 0..3).await;
    cluster.migrate_slot_of("moved").await.unwrap();
    stage.fill("moved", 3..6).await;
    let page = stage.broker.read(&topic("moved"), EventId::ZERO, EventId::MAX, 100).await.unwrap();
    assert_eq!(page.events.len(), 6);
}

async fn is_replaced(mut cluster: RedisCluster, stage: Stage) {
    let (following, over, publishing) = under_load(&stage, without_tail_check()).await;
    following.heard(&topic("t0"), 20).await;
    let was = cluster.kill_primary_of("t0").await.unwrap();
    cluster.failed_over("t0", was).await.unwrap();
    over.cancel();
    for (topic, publishing) in topics().iter().zip(publishing) {
        let ids = publishing.await.unwrap();
        let lost = assert_true_to_the_log(&*stage.broker, &following.journal, topic, &ids).await;
        eprintln!("{topic}: {lost} of {} acknowledged events were lost by Redis", ids.len());
    }
    following.live().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_without_loss_loses_nothing() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let (following, over, publishing) = under_load(&stage, without_tail_check()).await;
    following.heard(&topic("t0"), 20).await;
    cluster.failover_of("t0").await.unwrap();
    over.cancel();
    for (topic, publishing) in topics().iter().zip(publishing) {
        following.journal.assert_exact(topic, &publishing.await.unwrap()).await;
    }
    following.live().await;
}

/// Publishes slices without keys, each of which must be acknowledged, in its order.
fn publish_without_keys(stage: &Stage, name: &str, until: &CancellationToken) -> JoinHandle<Vec<EventId>> {
    let until = until.clone();
    let (broker, topic) = (Arc::clone(&stage.broker), topic(name));
    stage.tracker.spawn(async move {
        let mut ids = Vec::new();
        while !enough(ids.len(), &until) {
            let numbers = ids.len()..ids.len() + 5;
            let slice: Vec<_> = numbers.map(|n| NewEvent::new(topic.clone(), n.to_string())).collect();
            ids.extend(broker.append(&slice).await.into_iter().map(|answer| answer.unwrap().id));
        }
        ids
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_lose_nothing() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let following = Following::with(&stage, quick());
    following.follower.follow(&topics()).await;
    following.live().await;
    let links = following.journal.links();
    let over = CancellationToken::new();
    let plain = publish_without_keys(&stage, "t0", &over);
    let keyed = publish(&stage, "t1", &over);
    following.heard(&topic("t0"), 20).await;
    for name in ["t0", "t1", "t2", "t0"] {
        cluster.migrate_slot_of(name).await.unwrap();
    }
    over.cancel();
    let ids = plain.await.unwrap();
    assert!(ids.is_sorted());
    following.journal.assert_exact(&topic("t0"), &ids).await;
    let data = following.journal.book(&topic("t0")).data;
    assert_eq!(data, (0..ids.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    following.journal.assert_exact(&topic("t1"), &keyed.await.unwrap()).await;
    let more = stage.fill("t2", 0..3).await;
    following.journal.assert_exact(&topic("t2"), &more).await;
    eprintln!("the link was said {} times to be lost or back", following.journal.links() - links);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_half_way_is_read_and_written_where_its_keys_are() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let before = stage.fill("t0", 0..3).await;
    let migration = cluster.begin_migration_of("t0").await.unwrap();
    let between = stage.fill("t0", 3..6).await;
    while migration.move_keys(&cluster).await.unwrap() > 0 {}
    // The keys are there, the slot is not.
    let after = stage.fill("t0", 6..9).await;
    let page = stage.broker.read(&topic("t0"), EventId::ZERO, EventId::MAX, 100).await.unwrap();
    let expected = [before, between, after].concat();
    assert_eq!(page.events.iter().map(|event| event.id).collect::<Vec<_>>(), expected);
    let tails = stage.broker.tails(&[(topic("t0"), expected[7])], 10).await.unwrap();
    assert_eq!(tails.behind[0].page.last, Some(expected[8]));
    migration.finish(&cluster).await.unwrap();
    let page = stage.broker.read(&topic("t0"), EventId::ZERO, EventId::MAX, 100).await.unwrap();
    assert_eq!(page.events.len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_slot_moved_is_heard_at_its_new_place() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&topics()).await;
    notes.wait_for("every shard", |notes| notes.times_whole() == 1).await;
    let health = subscriber.health();
    assert_eq!((health.connected, health.shards_wanted, health.shards_connected), (true, 3, 3));
    notes.take_restored();
    cluster.migrate_slot_of("t0").await.unwrap();
    let mut restored = Vec::new();
    notes
        .wait_for("it to be said that t0 is restored", |notes| {
            restored.extend(notes.take_restored());
            restored.contains(&"t0".to_owned())
        })
        .await;
    assert!(restored.iter().all(|topic| topic == "t0"), "{restored:?}");
    stage.fill("t0", 0..1).await;
    notes.wait_for("the event", |notes| notes.events_of(&topic("t0")).len() == 1).await;
    assert_eq!((notes.times_broken(), subscriber.health().reconnects), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_while_topics_come_lose_no_subscription() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&topics()).await;
    let over = CancellationToken::new();
    let coming = async {
        let mut added: Vec<Topic> = Vec::new();
        for round in 0.. {
            let numbers = (round * 10) % 1_000..(round * 10) % 1_000 + 10;
            let some: Vec<_> = numbers.map(|n| topic(&format!("user/{n}"))).collect();
            if round < 100 {
                added.extend(some.iter().cloned());
            } else {
                subscriber.remove(&some);
            }
            subscriber.add(&some).await;
            if over.is_cancelled() {
                break;
            }
        }
        added
    };
    let moving = async {
        for name in ["t0", "t1", "t2", "t3", "t4", "t5", "user/0", "user/1"] {
            cluster.migrate_slot_of(name).await.unwrap();
        }
        over.cancel();
    };
    let (added, ()) = tokio::join!(coming, moving);
    eprintln!("{} topics came, {} connections were given up", added.len(), subscriber.health().reconnects);
    let whole = async || subscriber.health().connected;
    eventually("every subscription", SOON, whole).await.unwrap();
    // An announcement may be lost while its topic's subscription moves; one of many is not.
    let all: Vec<_> = topics().into_iter().chain(added).collect();
    eventually("an event of each topic", SOON, async || {
        let deaf: Vec<_> = all.iter().filter(|topic| notes.events_of(topic).is_empty()).collect();
        let events: Vec<_> = deaf.iter().map(|topic| NewEvent::new((*topic).clone(), "x")).collect();
        stage.broker.append(&events).await;
        if deaf.is_empty() { Ok(()) } else { Err(deaf.len()) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_grow_with_servers_and_not_with_topics() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let (notes, subscriber) = Notes::listen(&stage);
    let topics: Vec<_> = (0..3000).map(|n| topic(&format!("user/{n}"))).collect();
    subscriber.add(&topics).await;
    let mut subscribers = 0;
    for node in cluster.nodes() {
        let clients = node.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).await.unwrap();
        subscribers += clients.lines().filter(|line| line.contains("id=")).count();
    }
    assert_eq!(subscribers, 3);
    let events: Vec<_> = topics.iter().map(|topic| NewEvent::new(topic.clone(), "x")).collect();
    assert!(stage.broker.append(&events).await.iter().all(Result::is_ok));
    notes.wait_for("an event of each topic", |notes| notes.all().len() == 3000).await;
    let probed = async || subscriber.health().probe_round_trip.is_some_and(|trip| trip > Duration::ZERO);
    eventually("a probe of each shard", SOON, probed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing() {
    let cluster = RedisCluster::start().await.unwrap();
    let stage = stage(&cluster);
    let settings = FollowerSettings { linger: Duration::from_secs(60), ..without_tail_check() };
    let (following, over, publishing) = under_load(&stage, settings).await;
    for round in 1..=3 {
        following.heard(&topic("t0"), 20).await;
        for node in cluster.nodes() {
            node.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
        }
        let reconnected = async || following.follower.status().reconnects >= 3 * round;
        eventually("the losses to be noticed", SOON, reconnected).await.unwrap();
    }
    over.cancel();
    for (topic, publishing) in topics().iter().zip(publishing) {
        following.journal.assert_exact(topic, &publishing.await.unwrap()).await;
    }
    following.live().await;
}
