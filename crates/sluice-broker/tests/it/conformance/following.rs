//! Followers.

use std::time::Duration;

use futures_util::FutureExt;
use sluice_broker::{FollowerSettings, Retention};
use sluice_testkit::eventually;
use sluice_wire::{EventId, NewEvent, Topic};

use crate::journal::{Following, Journal, quick, without_tail_check};
use crate::stage::{SOON, Stage, topic};

pub(super) async fn a_topic_is_followed_from_its_head(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let before = stage.fill("t", 0..5).await;
    let following = Following::with(&stage, without_tail_check());
    following.journal.wait_for("the link", Journal::is_live).await;
    following.follower.follow(&[topic("t"), topic("empty")]).await;
    assert_eq!(following.journal.book(&topic("t")).opened, [before[4]]);
    let behind = stage.fill("t", 5..305).await;
    following.journal.assert_exact(&topic("t"), &behind).await;
    let first = stage.fill("empty", 0..1).await;
    following.journal.assert_exact(&topic("empty"), &first).await;
    let status = following.follower.status();
    assert_eq!((status.live, status.topics, status.events, status.holes_found), (true, 2, 301, 0));
}

pub(super) async fn ten_thousand_callers_share_round_trips(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let following = Following::with(&stage, without_tail_check());
    let calls: Vec<_> = (0..10_000)
        .map(|n| {
            let follower = following.follower.clone();
            stage.tracker.spawn(async move { follower.follow(&[topic(&format!("user/{n}"))]).await })
        })
        .collect();
    for call in calls {
        tokio::time::timeout(SOON, call).await.unwrap().unwrap();
    }
    assert_eq!(following.journal.opened(), 10_000);
    let events: Vec<_> = (0..10_000).map(|n| NewEvent::new(topic(&format!("user/{n}")), "x")).collect();
    let ids: Vec<_> = stage.broker.append(&events).await.into_iter().map(|a| a.unwrap().id).collect();
    for n in [0, 4_999, 9_999] {
        following.journal.assert_exact(&topic(&format!("user/{n}")), &ids[n..=n]).await;
    }
}

pub(super) async fn a_caller_that_goes_away_leaves_nothing(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let following = Following::start(&stage);
    let topics: Vec<Topic> = (0..50).map(|n| topic(&format!("t{n}"))).collect();
    // Polled once and dropped; now and then the topics are open by then, and the call has returned.
    if following.follower.follow(&topics).now_or_never().is_some() {
        following.follower.unfollow(&topics);
    }
    let left = async || following.follower.status().topics == 0;
    eventually("the topics of the caller that went away to be forgotten", SOON, left).await.unwrap();
    following.follower.follow(&topics).await;
    following.follower.unfollow(&topics);
    eventually("the topics to be forgotten", SOON, left).await.unwrap();
}

pub(super) async fn a_quiet_topic_is_confirmed(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let mut settings = quick();
    settings.confirm_margin = Duration::from_millis(100);
    let following = Following::with(&stage, settings);
    following.follower.follow(&[topic("t")]).await;
    let id = stage.fill("t", 0..1).await[0];
    let confirmed = |journal: &Journal| journal.book(&topic("t")).confirmed_ms > id.ms;
    following.journal.wait_for("a moment behind the event", confirmed).await;
    // Read in this order: the clock goes on, and so does what is confirmed.
    let confirmed_ms = following.journal.book(&topic("t")).confirmed_ms;
    let now_ms = stage.broker.tails(&[], 1).await.unwrap().time_ms;
    assert!(confirmed_ms + 100 <= now_ms);
    following.journal.assert_exact(&topic("t"), &[id]).await;
}

pub(super) async fn a_topic_lingers_and_then_ends(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    // Long enough for a test that is held up between an end and a new beginning.
    let following = Following::with(&stage, FollowerSettings { linger: Duration::from_secs(2), ..quick() });
    let topics = [topic("t")];
    following.follower.follow(&topics).await;
    following.follower.follow(&topics).await;
    following.follower.unfollow(&topics);
    let first = stage.fill("t", 0..1).await;
    following.journal.assert_exact(&topic("t"), &first).await;
    following.follower.unfollow(&topics);
    following.follower.follow(&topics).now_or_never().expect("it lingers");
    assert_eq!(following.journal.book(&topic("t")).opened.last(), first.last());
    following.follower.unfollow(&topics);
    let gone = async || following.follower.status().topics == 0;
    eventually("the topic to end", SOON, gone).await.unwrap();
    let unheard = stage.fill("t", 1..2).await;
    following.follower.follow(&topics).await;
    let heard = stage.fill("t", 2..3).await;
    following.journal.assert_exact(&topic("t"), &[first[0], heard[0]]).await;
    assert_eq!(following.journal.book(&topic("t")).opened.last(), unheard.last());
}

pub(super) async fn a_client_from_another_node_is_reached(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t")]).await;
    let ids = stage.fill("t", 0..3).await;
    let reached = following.follower.reach(&topic("t"), ids[2]).await;
    assert!(reached >= ids[2]);
    following.journal.assert_exact(&topic("t"), &ids).await;
    let ahead = EventId::at(ids[2].ms + 60_000);
    assert_eq!(following.follower.reach(&topic("t"), ahead).await, ids[2]);
    assert_eq!(following.follower.reach(&topic("unknown"), ahead).await, EventId::ZERO);
}
