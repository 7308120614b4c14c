//! Retention.

use std::time::Duration;

use sluice_broker::{LogHead, Retention};
use sluice_testkit::eventually;
use sluice_wire::EventId;

use crate::stage::{SOON, Stage, topic};

/// Redis trims whole nodes of its tree, which hold up to a hundred entries.
const SLACK: usize = 100;

async fn retained(stage: &Stage) -> Vec<EventId> {
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 10_000).await.unwrap();
    page.events.iter().map(|event| event.id).collect()
}

pub(super) async fn the_newest_so_many_are_kept(make: impl AsyncFn(Retention) -> Stage) {
    for age_max in [None, Some(Duration::from_secs(3600))] {
        let stage = make(Retention { events_max: Some(150), age_max, idle_max: None }).await;
        let ids = stage.fill("t", 0..1000).await;
        let kept = retained(&stage).await;
        assert!((150..=150 + SLACK).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept, ids[ids.len() - kept.len()..]);
    }
}

pub(super) async fn the_old_go_by_age(make: impl AsyncFn(Retention) -> Stage) {
    for events_max in [None, Some(10_000)] {
        let kept = Retention { events_max, age_max: Some(Duration::from_secs(1)), idle_max: None };
        let stage = make(kept).await;
        let mut ids = stage.fill("t", 0..500).await;
        let old = ids[499];
        // Without news the whole log would go.
        eventually("the old ones to be old", SOON, async || {
            ids.extend(stage.fill("t", 0..1).await);
            ids.last().is_some_and(|new| new.ms > old.ms + 1_100)
        })
        .await
        .unwrap();
        let new = *ids.last().unwrap();
        let kept = retained(&stage).await;
        let young = ids.iter().filter(|id| id.ms + 1_000 >= new.ms).count();
        assert!(
            (young..=young + SLACK).contains(&kept.len()),
            "{} of {}, {young} young",
            kept.len(),
            ids.len()
        );
        assert_eq!(kept.last(), Some(&new));
        let head = stage.broker.heads(&[topic("t")]).await.unwrap()[0];
        let oldest = kept.first().copied();
        let expected = LogHead { last: new, oldest, past: head.past, ..LogHead::default() };
        assert_eq!(head, expected, "trimming deletes nothing");
    }
}

pub(super) async fn what_its_owner_needs_no_more_goes(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let ids = stage.fill("t", 0..300).await;
    stage.broker.trim(&topic("t"), ids[120]).await.unwrap();
    assert_eq!(retained(&stage).await, ids[120..], "exactly what is older goes");
    stage.broker.trim(&topic("t"), ids[299].after()).await.unwrap();
    stage.broker.trim(&topic("never-used"), EventId::MAX).await.unwrap();
    assert_eq!(retained(&stage).await, []);
    assert_eq!(stage.broker.heads(&[topic("t")]).await.unwrap()[0].last, ids[299], "ids go on from there");
    assert_eq!(stage.broker.heads(&[topic("never-used")]).await.unwrap()[0], LogHead::default());
}

pub(super) async fn an_idle_topic_is_forgotten(make: impl AsyncFn(Retention) -> Stage) {
    let idle_max = Some(Duration::from_secs(2));
    let stage = make(Retention { idle_max, ..Retention::UNLIMITED }).await;
    let ids = stage.fill("t", 0..3).await;
    assert_eq!(retained(&stage).await.len(), 3);
    eventually("the topic to be forgotten", SOON, async || {
        stage.broker.heads(&[topic("t")]).await.unwrap()[0].last == EventId::ZERO
    })
    .await
    .unwrap();
    let past = stage.broker.heads(&[topic("t")]).await.unwrap()[0].past;
    assert!(past > ids[2] && past.ms <= ids[2].ms + 1_000 && past.seq == u64::MAX, "{past} of {ids:?}");
    let new = stage.fill("t", 0..1).await[0];
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 10).await.unwrap();
    assert_eq!(page.events[0].prev, Some(past.min(EventId::new(new.ms - 1, u64::MAX))));
}

pub(super) async fn a_quiet_topic_goes_with_its_newest_event(make: impl AsyncFn(Retention) -> Stage) {
    for (age, idle) in [(300, None), (300, Some(600_000)), (600_000, Some(300))] {
        let (age_max, idle_max) = (Some(Duration::from_millis(age)), idle.map(Duration::from_millis));
        let stage = make(Retention { events_max: Some(10_000), age_max, idle_max }).await;
        stage.fill("t", 0..50).await;
        assert_eq!(retained(&stage).await.len(), 50, "{age} {idle:?}");
        eventually("the topic to be forgotten", SOON, async || {
            stage.broker.heads(&[topic("t")]).await.unwrap()[0].last == EventId::ZERO
        })
        .await
        .unwrap();
        assert_eq!(retained(&stage).await.len(), 0, "{age} {idle:?}");
    }
}

pub(super) async fn nothing_goes_without_limits(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let ids = stage.fill("t", 0..3000).await;
    assert_eq!(retained(&stage).await, ids);
}
