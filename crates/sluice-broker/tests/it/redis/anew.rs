//! Logs that go and begin anew, and ids of the future: what is missing is told, once, and what is there is delivered.

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Gap, GapReason, Replay, ReplaySettings, Retention, Start};
use sluice_testkit::eventually;
use sluice_wire::EventId;

use crate::journal::{Following, quick};
use crate::stage::{SOON, Stage, topic};

const LOG: &str = "sluice:{t}:log";

/// What a reader that stood at `from` is given and told.
async fn replay(stage: &Stage, from: Start, to: EventId) -> (Vec<EventId>, Vec<Gap>) {
    let (broker, settings) = (Arc::clone(&stage.broker), ReplaySettings::default());
    let mut replay = Replay::new(broker, topic("t"), from, to, settings);
    let (mut ids, mut gaps) = (Vec::new(), Vec::new());
    while let Some(page) = replay.next().await.unwrap() {
        ids.extend(page.events.iter().map(|event| event.id));
        gaps.extend(page.gap);
    }
    (ids, gaps)
}

fn nothing_seen(floor_ms: u64) -> Start {
    Start::Seen { id: EventId::ZERO, floor_ms }
}

fn moment(ms: u64) -> Start {
    Start::Seen { id: EventId::new(ms, u64::MAX), floor_ms: ms }
}

/// A cursor of a topic that had no events, alone or as a quiet topic of several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_deleted_and_began_anew_tells_what_was_missed_of_it() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let first = stage.fill("t", 0..1).await[0];
    let (before_ms, lately_ms) = (first.ms - 100_000, first.ms - 10);
    for start in [nothing_seen(before_ms), moment(before_ms)] {
        assert_eq!(
            replay(&stage, start, EventId::MAX).await,
            (vec![first], vec![]),
            "the first log hides nothing"
        );
    }
    server.cli(&["DEL", LOG]).await.unwrap();
    let head = stage.broker.heads(&[topic("t")]).await.unwrap()[0];
    assert!(head.past > first, "{head:?}");
    let second = stage.fill("t", 0..1).await[0];
    for (floor_ms, possible) in [(before_ms, false), (lately_ms, true)] {
        for start in [nothing_seen(floor_ms), moment(floor_ms)] {
            let (ids, gaps) = replay(&stage, start, EventId::MAX).await;
            let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
            assert_eq!((ids, gap.reason, gap.possible), (vec![second], GapReason::Expired, possible));
            assert!(gap.to >= first && gap.to < second, "{gap:?}");
        }
    }
    let (ids, gaps) = replay(&stage, nothing_seen(second.ms - 1), EventId::MAX).await;
    assert_eq!((ids, gaps), (vec![second], vec![]), "who was there when the old log went lacks nothing");
}

/// A node that follows the topic, with the id of a far future in its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_flow_after_an_id_of_the_far_future_was_deleted() {
    for publishes in [true, false] {
        let stage = Stage::redis(Retention::default()).await;
        let server = stage.server.as_ref().unwrap();
        let following = Following::with(&stage, quick());
        following.follower.follow(&[topic("t")]).await;
        let far = EventId::at(9_999_999_999_999);
        server.cli(&["XADD", LOG, &far.to_string(), "data", "far"]).await.unwrap();
        let given = async || following.journal.book(&topic("t")).events == [far];
        eventually("the event of the future", SOON, given).await.unwrap();
        server.cli(&["DEL", LOG]).await.unwrap();
        let id = if publishes {
            stage.fill("t", 0..1).await[0]
        } else {
            server.cli(&["XADD", LOG, "*", "data", "x"]).await.unwrap().trim().parse().unwrap()
        };
        let given = async || following.journal.book(&topic("t")).events == [far, id];
        eventually("the event after it", SOON, given).await.unwrap();
        let gaps = following.journal.book(&topic("t")).gaps;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert!(gaps[0].reason == GapReason::Rewound && gaps[0].from == far, "{gaps:?}");
        // So is a client that comes back with that id.
        let (ids, gaps) = replay(&stage, Start::seen(far), id).await;
        assert_eq!((ids, gaps.len(), gaps[0].reason), (vec![id], 1, GapReason::Rewound), "{gaps:?}");
    }
}

/// An id of the future that was deleted by hand excuses no other loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_id_of_the_future_hides_no_rewind() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let ids = stage.fill("t", 0..2).await;
    let lost = EventId::new(ids[1].ms + 1, 7);
    server.cli(&["XADD", LOG, "9999999999999-0", "data", "far"]).await.unwrap();
    server.cli(&["XDEL", LOG, "9999999999999-0"]).await.unwrap();
    let (_, gaps) = replay(&stage, Start::seen(lost), EventId::MAX).await;
    assert!(gaps.len() == 1 && gaps[0].reason == GapReason::Rewound, "{gaps:?}");
    server.cli(&["XDEL", LOG, &ids[1].to_string()]).await.unwrap();
    let (_, gaps) = replay(&stage, Start::seen(ids[0]), EventId::MAX).await;
    assert_eq!(gaps, []);
}

/// A key of another type beside a topic that is opened with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_takes_no_watermark_from_its_neighbours() {
    let stage = Stage::redis(Retention::default()).await;
    stage.server.as_ref().unwrap().cli(&["SET", LOG, "x"]).await.unwrap();
    let settings = sluice_broker::FollowerSettings { tail_interval: Duration::from_secs(3600), ..quick() };
    let following = Following::with(&stage, settings);
    following.follower.follow(&[topic("good"), topic("t")]).await;
    assert!(following.journal.book(&topic("good")).confirmed_ms > 1_700_000_000_000);
    assert_eq!(following.journal.book(&topic("t")).confirmed_ms, 0);
}

/// One client with an old id makes the node look; what it finds is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_gone_is_told_once_however_often_it_is_looked_for() {
    let kept = Retention { idle_max: Some(Duration::from_secs(2)), ..Retention::UNLIMITED };
    for stage in [Stage::memory(kept).await, Stage::redis(kept).await] {
        let following = Following::with(&stage, quick());
        following.follower.follow(&[topic("t")]).await;
        let first = stage.fill("t", 0..1).await[0];
        following.journal.assert_exact(&topic("t"), &[first]).await;
        eventually("the log to go", SOON, async || {
            stage.broker.heads(&[topic("t")]).await.unwrap()[0].last == EventId::ZERO
        })
        .await
        .unwrap();
        for _ in 0..20 {
            following.follower.reach(&topic("t"), first.after()).await;
        }
        let gaps = following.journal.book(&topic("t")).gaps;
        assert!(gaps.len() <= 1, "{gaps:?}");
        let second = stage.fill("t", 0..1).await[0];
        let given = async || following.journal.book(&topic("t")).events == [first, second];
        eventually("the next event", SOON, given).await.unwrap();
        let (_, gaps) = replay(&stage, Start::seen(EventId::at(first.ms - 5_000)), second).await;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
    }
}
