//! Replays over the embedded broker.

mod late;

use super::*;
use crate::{BrokerSettings, BrokerUrl, MemoryBroker, Retention, RetentionPolicies};
use sluice_wire::{NewEvent, Since};
use tokio_util::task::TaskTracker;

struct Stage {
    broker: Arc<dyn Broker>,
    topic: Topic,
    ids: Vec<EventId>,
}

async fn stage(events: usize, retention: Retention) -> Stage {
    let mut settings = BrokerSettings::new(BrokerUrl::memory());
    settings.retention = RetentionPolicies::uniform(retention);
    let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(settings, TaskTracker::new()));
    let topic = Topic::parse("t").unwrap();
    let new: Vec<_> = (0..events).map(|n| NewEvent::new(topic.clone(), n.to_string())).collect();
    let ids = broker.append(&new).await.into_iter().map(|answer| answer.unwrap().id).collect();
    Stage { broker, topic, ids }
}

impl Stage {
    async fn replay(
        &self,
        from: Start,
        to: EventId,
        page_events: usize,
    ) -> (Vec<EventId>, Vec<Gap>, EventId) {
        let settings = ReplaySettings { page_events, ..ReplaySettings::default() };
        let mut replay = Replay::new(Arc::clone(&self.broker), self.topic.clone(), from, to, settings);
        let (mut ids, mut gaps, mut position) = (Vec::new(), Vec::new(), EventId::ZERO);
        while let Some(page) = replay.next().await.unwrap() {
            assert!(page.events.len() <= page_events);
            gaps.extend(page.gap);
            ids.extend(page.events.iter().map(|event| event.id));
            position = page.position;
        }
        (ids, gaps, position)
    }
}

#[tokio::test]
async fn reads_everything_behind_the_position_up_to_the_fence() {
    let stage = stage(10, Retention::UNLIMITED).await;
    for page_events in [1, 2, 3, 9, 100] {
        let (ids, gaps, position) = stage.replay(Start::seen(stage.ids[2]), stage.ids[7], page_events).await;
        assert_eq!(ids, stage.ids[3..=7], "{page_events}");
        assert_eq!((gaps, position), (vec![], stage.ids[7]));
    }
    let (ids, gaps, _) = stage.replay(Start::Moment(EventId::ZERO), EventId::MAX, 4).await;
    assert_eq!((ids, gaps), (stage.ids.clone(), vec![]));
}

#[tokio::test]
async fn tells_trimming_once_and_where_it_goes_on() {
    let stage = stage(10, Retention { events_max: Some(4), ..Retention::UNLIMITED }).await;
    let (ids, gaps, _) = stage.replay(Start::seen(stage.ids[2]), EventId::MAX, 2).await;
    assert_eq!(ids, stage.ids[6..]);
    let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!((gap.from, gap.to, gap.reason), (stage.ids[2], stage.ids[5], GapReason::Trimmed));
    let (ids, gaps, _) = stage.replay(Start::seen(stage.ids[5]), EventId::MAX, 2).await;
    assert_eq!((ids, gaps), (stage.ids[6..].to_vec(), vec![]));
    let (ids, gaps, position) = stage.replay(Start::seen(stage.ids[2]), stage.ids[4], 2).await;
    assert_eq!((ids, position), (vec![], stage.ids[4]));
    assert_eq!((gaps.len(), gaps[0].to), (1, stage.ids[4]));
}

#[tokio::test]
async fn trimming_between_two_pages_is_told_too() {
    let stage = stage(6, Retention { events_max: Some(6), ..Retention::UNLIMITED }).await;
    let settings = ReplaySettings { page_events: 2, ..ReplaySettings::default() };
    let from = Start::Moment(EventId::ZERO);
    let mut replay =
        Replay::new(Arc::clone(&stage.broker), stage.topic.clone(), from, EventId::MAX, settings);
    assert_eq!(replay.next().await.unwrap().unwrap().events.len(), 2);
    let more: Vec<_> = (0..5).map(|_| NewEvent::new(stage.topic.clone(), "x")).collect();
    stage.broker.append(&more).await;
    let page = replay.next().await.unwrap().unwrap();
    let gap = page.gap.unwrap();
    assert_eq!((gap.from, gap.to, gap.possible), (stage.ids[1], stage.ids[4], false));
    assert_eq!(page.events[0].id, stage.ids[5]);
}

#[tokio::test]
async fn a_position_the_log_does_not_know_is_a_rewind() {
    let stage = stage(3, Retention::UNLIMITED).await;
    let ahead = EventId::at(stage.ids[2].ms + 5_000);
    for to in [EventId::MAX, stage.ids[2]] {
        let (ids, gaps, _) = stage.replay(Start::seen(ahead), to, 10).await;
        assert_eq!((gaps.len(), gaps[0].reason, gaps[0].from), (1, GapReason::Rewound, ahead), "{to}");
        assert_eq!(ids, stage.ids, "within the margin, so all that survived is repeated");
        let (ids, gaps, _) = stage.replay(Start::Moment(ahead), to, 10).await;
        assert_eq!((ids, gaps), (vec![], vec![]));
        let end_of_ms = EventId::new(ahead.ms, u64::MAX);
        assert_eq!(stage.replay(Start::seen(end_of_ms), to, 10).await.1, vec![]);
    }
}

/// No clock gets there, so it is an entry that somebody wrote or forged, and its log lost it.
#[tokio::test]
async fn a_position_at_the_greatest_id_is_judged_like_any_other() {
    let stage = stage(3, Retention::UNLIMITED).await;
    for position in [EventId::MAX, EventId::MAX.before()] {
        for to in [EventId::MAX, stage.ids[2]] {
            let (ids, gaps, _) = stage.replay(Start::seen(position), to, 10).await;
            assert_eq!((gaps.len(), gaps[0].reason), (1, GapReason::Rewound), "{position} to {to}");
            assert_eq!(ids, stage.ids);
        }
    }
}

#[tokio::test]
async fn a_rewind_to_the_oldest_event_names_what_stood_before_it() {
    let stage = stage(6, Retention { events_max: Some(3), ..Retention::UNLIMITED }).await;
    let lost = Start::seen(EventId::new(stage.ids[5].ms + 1, 0));
    let (ids, gaps, _) = stage.replay(lost, EventId::MAX, 10).await;
    assert_eq!(ids, stage.ids[3..]);
    assert_eq!((gaps.len(), gaps[0].reason, gaps[0].to), (1, GapReason::Rewound, stage.ids[2]));
}

#[tokio::test]
async fn a_missing_log_expired_for_an_old_cursor_and_was_lost_for_a_young_one() {
    let kept = Retention { age_max: Some(Duration::from_secs(3600)), ..Retention::UNLIMITED };
    let stage = stage(0, kept).await;
    let now_ms = stage.broker.tails(&[], 1).await.unwrap().time_ms;
    let young = Start::seen(EventId::at(now_ms - 1000));
    let old = Start::seen(EventId::at(now_ms - 2 * 3600 * 1000));
    for to in [EventId::MAX, EventId::ZERO] {
        let (_, gaps, _) = stage.replay(young, to, 10).await;
        assert_eq!((gaps.len(), gaps[0].reason, gaps[0].to), (1, GapReason::Rewound, EventId::ZERO));
        let (_, gaps, _) = stage.replay(old, to, 10).await;
        assert_eq!((gaps.len(), gaps[0].reason, gaps[0].possible), (1, GapReason::Expired, true));
        let vouched = Start::Seen { id: old.position(), floor_ms: now_ms - 10_000 };
        assert_eq!(stage.replay(vouched, to, 10).await.1, vec![]);
    }
    assert_eq!(stage.replay(Start::seen(EventId::ZERO), EventId::MAX, 10).await.1, vec![]);
}

#[tokio::test]
async fn since_in_all_its_forms() {
    let stage = stage(5, Retention::UNLIMITED).await;
    let now_ms = stage.ids[4].ms + 1;
    let behind = async |since: &Since| {
        let start = resolve_since(&*stage.broker, &stage.topic, since, now_ms).await.unwrap();
        let (ids, gaps, _) = stage.replay(start, EventId::MAX, 100).await;
        assert_eq!(gaps, vec![]);
        ids
    };
    assert_eq!(behind(&Since::Earliest).await, stage.ids);
    assert_eq!(behind(&Since::Last(2)).await, stage.ids[3..]);
    assert_eq!(behind(&Since::Last(0)).await, []);
    assert_eq!(behind(&Since::Last(99)).await, stage.ids);
    assert_eq!(behind(&Since::After(stage.ids[1])).await, stage.ids[2..]);
    assert_eq!(behind(&Since::At { ms: stage.ids[0].ms }).await, stage.ids);
    assert_eq!(behind(&Since::At { ms: now_ms }).await, []);
    assert_eq!(behind(&Since::Ago(Duration::from_secs(60))).await, stage.ids);
}

#[tokio::test]
async fn a_moment_settles_on_the_newest_event_until_then() {
    let stage = stage(5, Retention::UNLIMITED).await;
    let at = async |id| settle(&*stage.broker, &stage.topic, id).await.unwrap();
    assert_eq!(at(stage.ids[2]).await, Start::seen(stage.ids[2]));
    assert_eq!(at(stage.ids[4].after()).await, Start::seen(stage.ids[4]));
    assert_eq!(
        at(EventId::new(5, 5)).await,
        Start::seen(EventId::ZERO),
        "nothing was before the first event"
    );
    assert_eq!(at(EventId::ZERO).await, Start::Moment(EventId::ZERO), "the earliest stays the earliest");

    let empty = Topic::parse("empty").unwrap();
    let start = settle(&*stage.broker, &empty, EventId::new(5, 5)).await.unwrap();
    assert_eq!(start, Start::seen(EventId::ZERO));
}
