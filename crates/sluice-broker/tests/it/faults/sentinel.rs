//! Sentinels, and a primary that is replaced.

use sluice_broker::Retention;
use sluice_testkit::{SentinelSet, eventually};
use tokio_util::sync::CancellationToken;

use super::{assert_true_to_the_log, publish};
use crate::journal::{Following, without_tail_check};
use crate::listening::Notes;
use crate::stage::{SOON, Stage, by_tls, settings, topic};

fn stage(url: &str) -> Stage {
    Stage::with(settings(url, Retention::UNLIMITED), None)
}

/// Waits until the replica has acknowledged everything written so far. One that has just been given a snapshot
/// counts as in sync a second before it takes anything else.
async fn replicated(set: &SentinelSet) {
    eventually("the replica's acknowledgement", SOON, async || {
        let primary = set.primary().await?;
        let answer = primary.cli_with_stdin(&[], b"SET marker 1\nWAIT 1 1000\n").await?;
        anyhow::ensure!(answer.trim_end().ends_with('1'), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced() {
    let set = SentinelSet::start().await.unwrap();
    let stage = stage(&set.url());
    is_replaced(set, stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_by_tls() {
    let set = SentinelSet::builder().tls().unwrap().start().await.unwrap();
    let settings = by_tls(settings(&set.url(), Retention::UNLIMITED), &set.servers()[0]);
    is_replaced(set, Stage::with(settings, None)).await;
}

async fn is_replaced(mut set: SentinelSet, stage: Stage) {
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t"), topic("quiet")]).await;
    let quiet = stage.fill("quiet", 0..1).await;
    replicated(&set).await;
    let over = CancellationToken::new();
    let publishing = publish(&stage, "t", &over);
    following.heard(&topic("t"), 50).await;
    let was = set.kill_primary().await.unwrap();
    set.taken_over(was).await.unwrap();
    over.cancel();
    let ids = publishing.await.unwrap();
    following.live().await;
    let lost = assert_true_to_the_log(&*stage.broker, &following.journal, &topic("t"), &ids).await;
    eprintln!("{lost} of {} acknowledged events were lost by Redis", ids.len());
    following.journal.assert_exact(&topic("quiet"), &quiet).await;
    // The old primary comes back as one, and must not be believed before it is a replica.
    set.restart(was).await.unwrap();
    let more = stage.fill("quiet", 1..3).await;
    following.journal.assert_exact(&topic("quiet"), &[&quiet[..], &more[..]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_becomes_a_replica_is_left() {
    let set = SentinelSet::start().await.unwrap();
    // The first sentinel is dead, which must not matter.
    let stage = stage(&set.url().replace("://", "://127.0.0.1:1,"));
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("t")]).await;
    for _ in 0..2 {
        let over = CancellationToken::new();
        let publishing = publish(&stage, "t", &over);
        following.heard(&topic("t"), 50).await;
        set.failover().await.unwrap();
        over.cancel();
        let ids = publishing.await.unwrap();
        following.live().await;
        assert_true_to_the_log(&*stage.broker, &following.journal, &topic("t"), &ids).await;
    }
    // Nobody listens to the replica any more.
    eventually("the replica to be left alone", SOON, async || {
        // On a busy machine the sentinels may have changed their minds once more.
        let replica = set.replica().await.unwrap();
        let channels = replica.cli(&["PUBSUB", "CHANNELS", "sluice:*"]).await.unwrap();
        if channels.trim().is_empty() { Ok(()) } else { Err(channels) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_found_is_said_so() {
    let set = SentinelSet::start().await.unwrap();
    let wrong = set.url().rsplit_once('/').unwrap().0.to_owned() + "/nobody";
    let mut settings = settings(&wrong, Retention::UNLIMITED);
    settings.redis.response_timeout = std::time::Duration::from_millis(500);
    settings.redis.connect_timeout = std::time::Duration::from_millis(500);
    let stage = Stage::with(settings, None);
    eventually("the reason", SOON, async || match stage.broker.ping().await {
        Err(why) if why.is_transient() && why.to_string().contains("no master called nobody") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let (_, subscriber) = Notes::listen(&stage);
    assert!(!subscriber.health().connected);
}
