//! Connections: what breaks them, what they say, and what they never say.

use std::time::Duration;

use sluice_broker::{Announcement, BrokerError, Retention};
use sluice_testkit::{RedisServer, eventually};
use sluice_wire::envelope::LiveMessage;
use sluice_wire::{EventId, NewEvent};

use crate::listening::Notes;
use crate::stage::{SOON, Stage, settings, topic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_survive_cuts_and_restarts() {
    let mut stage = Stage::redis(Retention::default()).await;
    let (notes, subscriber) = Notes::listen(&stage);
    let topics: Vec<_> = (0..1200).map(|n| topic(&format!("t{n}"))).collect();
    subscriber.add(&topics).await;
    subscriber.remove(&topics[..100]);
    stage.server.as_ref().unwrap().cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
    notes.wait_for("the first loss to be mended", |notes| notes.times_whole() == 2).await;
    stage.server.as_mut().unwrap().restart().await.unwrap();
    notes.wait_for("the second loss to be mended", |notes| notes.times_whole() == 3).await;
    assert_eq!((notes.times_broken(), subscriber.health().reconnects), (2, 2));
    let events: Vec<_> = topics.iter().map(|topic| NewEvent::new(topic.clone(), "x")).collect();
    let appended = async || stage.broker.append(&events[..1]).await[0].is_ok();
    eventually("the pool to have noticed too", SOON, appended).await.unwrap();
    assert!(stage.broker.append(&events).await.iter().all(Result::is_ok));
    notes.wait_for("an event of each topic", |notes| notes.all().len() == 1100).await;
    assert!(notes.events_of(&topics[0]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_waits_through_a_lost_connection() {
    let mut stage = Stage::redis(Retention::default()).await;
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("a")]).await;
    stage.server.as_mut().unwrap().kill().unwrap();
    notes.wait_for("the loss", |notes| notes.times_broken() == 1).await;
    let topics = [topic("b")];
    let adding = subscriber.add(&topics);
    tokio::pin!(adding);
    assert!(futures_util::poll!(adding.as_mut()).is_pending());
    stage.server.as_mut().unwrap().restart().await.unwrap();
    tokio::time::timeout(SOON, adding).await.unwrap();
    let appended = async || stage.broker.append(&[NewEvent::new(topic("b"), "x")]).await[0].is_ok();
    eventually("an append", SOON, appended).await.unwrap();
    notes.wait_for("the event", |notes| !notes.events_of(&topic("b")).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_text_is_announced_as_such() {
    let stage = Stage::redis(Retention::default()).await;
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("t")]).await;
    stage.server.as_ref().unwrap().cli(&["PUBLISH", "sluice:{t}:live", "hi"]).await.unwrap();
    notes.wait_for("the text", |notes| notes.all().len() == 1).await;
    assert!(matches!(&notes.all()[0].1, Announcement::Message(LiveMessage::Plain(text)) if text == "hi"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_server_is_unavailable_and_comes_back() {
    let mut stage = Stage::redis(Retention::default()).await;
    stage.fill("t", 0..1).await;
    stage.server.as_mut().unwrap().kill().unwrap();
    let down = async || stage.broker.ping().await.is_err_and(|why| why.is_transient());
    eventually("the server to be unavailable", SOON, down).await.unwrap();
    let answers =
        stage.broker.append(&[NewEvent::new(topic("t"), "x"), NewEvent::new(topic("u"), "x")]).await;
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(BrokerError::is_transient)),
        "{answers:?}"
    );
    stage.server.as_mut().unwrap().restart().await.unwrap();
    let up = async || stage.broker.ping().await.is_ok_and(|took| took < Duration::from_secs(5));
    eventually("the server to be back", SOON, up).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_works_and_is_never_said() {
    let server = RedisServer::builder().password("s3cret-pass").start().await.unwrap();
    let stage = Stage::with(settings(&server.url(), Retention::default()), None);
    stage.fill("t", 0..1).await;
    let (_, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("t")]).await;
    let said = format!("{:?} {:?}", stage.broker, settings(&server.url(), Retention::default()));
    assert!(!said.contains("s3cret-pass"), "{said}");

    let wrong = server.url().replace("s3cret-pass", "wr0ng-pass");
    let stage = Stage::with(settings(&wrong, Retention::default()), None);
    let why = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 1).await.unwrap_err();
    assert!(matches!(why, BrokerError::Refused(_)), "{why:?}");
    assert!(why.to_string().contains("WRONGPASS") && !why.to_string().contains("wr0ng-pass"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_prefix_is_another_world() {
    let server = RedisServer::start().await.unwrap();
    let mut other = settings(&server.url(), Retention::default());
    other.redis.prefix = "other".to_owned();
    let (one, two) =
        (Stage::with(settings(&server.url(), Retention::default()), None), Stage::with(other, None));
    one.fill("t", 0..1).await;
    assert!(two.broker.heads(&[topic("t")]).await.unwrap()[0].oldest.is_none());
    two.fill("t", 0..1).await;
    assert_eq!(server.cli(&["EXISTS", "other:{t}:log"]).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_becomes_a_replica_is_not_listened_to_as_if_nothing_were() {
    let stage = Stage::redis(Retention::default()).await;
    let other = RedisServer::start().await.unwrap();
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("t")]).await;
    let probed = async || subscriber.health().probe_round_trip.is_some();
    eventually("a probe", SOON, probed).await.unwrap();
    let server = stage.server.as_ref().unwrap();
    server.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await.unwrap();
    notes.wait_for("the change to be noticed", |notes| notes.times_broken() == 1).await;
    let written = stage.broker.append(&[NewEvent::new(topic("t"), "x")]).await.remove(0);
    assert!(written.is_err_and(|why| why.is_transient()));
    // It is the only one there is.
    notes.wait_for("what there is", |notes| notes.times_whole() == 2).await;
}
