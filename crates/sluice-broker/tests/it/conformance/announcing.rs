//! Announcements.

use sluice_broker::{Announcement, Retention};
use sluice_testkit::eventually;
use sluice_wire::envelope::LiveMessage;
use sluice_wire::{ByteString, EventId, EventType, NewEvent, Topic};

use crate::listening::Notes;
use crate::stage::{SOON, Stage, topic};

pub(super) async fn what_is_appended_is_announced_in_order(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("t")]).await;
    stage.fill("t", 0..500).await;
    stage
        .append(NewEvent {
            event_type: Some(EventType::parse("50% créé=ü").unwrap()),
            traceparent: Some(ByteString::from_static("00-ab cd-01")),
            ..NewEvent::new(topic("t"), "a\nb\u{1}")
        })
        .await;
    notes.wait_for("all announcements", |notes| notes.all().len() == 501).await;
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 1000).await.unwrap();
    assert_eq!(notes.events_of(&topic("t")), page.events, "what is announced is what the log holds");
}

pub(super) async fn only_subscribed_topics_are_heard(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("a"), topic("b")]).await;
    subscriber.add(&[topic("a")]).await;
    stage.fill("other", 0..1).await;
    stage.fill("a", 0..1).await;
    notes.wait_for("a", |notes| notes.all().len() == 1).await;
    subscriber.remove(&[topic("a")]);
    // Changes are made in order, so when this one stands, the removal does.
    subscriber.add(&[topic("c")]).await;
    stage.fill("a", 1..2).await;
    stage.fill("b", 0..1).await;
    notes.wait_for("b", |notes| !notes.events_of(&topic("b")).is_empty()).await;
    let heard: Vec<_> = notes.all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(heard, ["a", "b"]);
    subscriber.add(&[topic("a")]).await;
    stage.fill("a", 2..3).await;
    notes.wait_for("a again", |notes| notes.events_of(&topic("a")).len() == 2).await;
    assert_eq!(notes.times_broken(), 0);
}

pub(super) async fn two_thousand_topics(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let (notes, subscriber) = Notes::listen(&stage);
    let topics: Vec<Topic> = (0..2000).map(|n| topic(&format!("user/{n}"))).collect();
    subscriber.add(&topics).await;
    let events: Vec<_> = topics.iter().map(|topic| NewEvent::new(topic.clone(), "x")).collect();
    assert!(stage.broker.append(&events).await.iter().all(Result::is_ok));
    notes.wait_for("an event of each topic", |notes| notes.all().len() == 2000).await;
    let mut names: Vec<_> = notes.all().into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 2000);
    assert!(
        notes.all().iter().all(|(_, m)| matches!(m, Announcement::Message(LiveMessage::Event(_)))),
        "nothing but events"
    );
}

pub(super) async fn dropping_a_subscriber_ends_its_task(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let before = stage.tracker.len();
    let (notes, subscriber) = Notes::listen(&stage);
    subscriber.add(&[topic("t")]).await;
    assert!(stage.tracker.len() > before);
    drop(subscriber);
    eventually("the tasks to end", SOON, async || stage.tracker.len() == before).await.unwrap();
    stage.fill("t", 0..1).await;
    assert!(notes.all().is_empty());
}
