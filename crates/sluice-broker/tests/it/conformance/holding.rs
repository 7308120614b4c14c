//! What nodes tell each other of what they hold.

use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Holding, Retention};
use sluice_testkit::eventually;

use crate::stage::{SOON, Stage};

const LONG: Duration = Duration::from_secs(600);

/// A word of `node`, with what it holds, and what it asks.
async fn hold(stage: &Stage, node: &str, held: &[(&str, u32)], asked: &[&str]) -> Vec<u64> {
    say(stage, Holding { node, held: &[], whole: false, lease: LONG, asked: &[] }, held, asked).await
}

async fn say(stage: &Stage, word: Holding<'_>, held: &[(&str, u32)], asked: &[&str]) -> Vec<u64> {
    let held: Vec<(Arc<str>, u32)> = held.iter().map(|(name, count)| ((*name).into(), *count)).collect();
    let asked: Vec<Arc<str>> = asked.iter().map(|name| (*name).into()).collect();
    stage.broker.hold(Holding { held: &held, asked: &asked, ..word }).await.unwrap()
}

pub(super) async fn nodes_know_what_others_hold(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    // Names are whatever identity providers give.
    let odd = "auth0|7 {x}:\"é\"";
    assert_eq!(hold(&stage, "a", &[("u", 2), (odd, 1)], &["u", odd]).await, [0, 0], "of itself it knows");
    assert_eq!(hold(&stage, "b", &[("u", 3)], &["v", "u", odd]).await, [0, 2, 1]);
    assert_eq!(hold(&stage, "c", &[], &["u"]).await, [5]);
    assert_eq!(hold(&stage, "a", &[("u", 1), (odd, 0)], &["u"]).await, [3]);
    assert_eq!(hold(&stage, "b", &[], &["u", odd]).await, [1, 0]);
    assert!(hold(&stage, "b", &[("u", 0)], &[]).await.is_empty());
    assert_eq!(hold(&stage, "c", &[], &["u"]).await, [1]);
}

pub(super) async fn a_whole_word_replaces_all_before(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    hold(&stage, "a", &[("u", 2), ("v", 2)], &[]).await;
    let whole = Holding { node: "a", held: &[], whole: true, lease: LONG, asked: &[] };
    say(&stage, whole, &[("v", 1), ("w", 4)], &[]).await;
    assert_eq!(hold(&stage, "b", &[], &["u", "v", "w"]).await, [0, 1, 4]);
    say(&stage, whole, &[], &[]).await;
    assert_eq!(hold(&stage, "b", &[("v", 7)], &["v", "w"]).await, [0, 0]);
    // Whoever found that `a` holds nothing may have struck it out: it is known again with its next word.
    say(&stage, Holding { node: "b", ..whole }, &[("v", 7)], &[]).await;
    assert_eq!(hold(&stage, "a", &[("v", 1)], &["v"]).await, [7]);
    assert_eq!(hold(&stage, "b", &[], &["v"]).await, [1]);
}

pub(super) async fn what_a_silent_node_held_is_gone(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let brief = Holding { node: "a", held: &[], whole: false, lease: Duration::from_secs(2), asked: &[] };
    say(&stage, brief, &[("u", 2)], &[]).await;
    eventually("the lease to end", SOON, async || hold(&stage, "b", &[("u", 1)], &["u"]).await == [0])
        .await
        .unwrap();
    say(&stage, brief, &[("u", 3)], &[]).await;
    // A word renews the lease of all that the node holds, although it says nothing of it: the lease of `c`, which began
    // later than the first of `a`, ends before.
    hold(&stage, "a", &[], &[]).await;
    say(&stage, Holding { node: "c", ..brief }, &[("v", 1)], &[]).await;
    eventually("the lease of c to end", SOON, async || hold(&stage, "b", &[], &["v"]).await == [0])
        .await
        .unwrap();
    assert_eq!(hold(&stage, "b", &[], &["u"]).await, [3], "the same node again");
}

pub(super) async fn many_names_are_told_at_once(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let names: Vec<String> = (0..2_500).map(|n| format!("u{n}")).collect();
    let held: Vec<(&str, u32)> = names.iter().zip(1..).map(|(name, count)| (name.as_str(), count)).collect();
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    hold(&stage, "a", &held, &[]).await;
    assert_eq!(hold(&stage, "b", &held, &asked).await, (1..=2_500).collect::<Vec<u64>>());
    let none: Vec<(&str, u32)> = asked.iter().map(|name| (*name, 0)).collect();
    hold(&stage, "a", &none, &[]).await;
    assert_eq!(hold(&stage, "b", &[], &asked).await, vec![0; 2_500]);
}

/// Whoever asks while a node says all that it holds must not find that it holds nothing.
pub(super) async fn a_whole_word_hides_nothing_for_a_moment(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let names: Vec<String> = (0..3_000).map(|n| format!("u{n}")).collect();
    let held: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let whole = Holding { node: "a", held: &[], whole: true, lease: LONG, asked: &[] };
    say(&stage, whole, &held, &[]).await;
    let saying = async {
        for _ in 0..30 {
            say(&stage, whole, &held, &[]).await;
        }
    };
    let asking = async {
        for _ in 0..300 {
            assert_eq!(hold(&stage, "b", &[], &["u0", "u2999"]).await, [1, 1]);
        }
    };
    tokio::join!(saying, asking);
}
