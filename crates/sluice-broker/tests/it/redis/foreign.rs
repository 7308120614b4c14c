//! What others leave on our keys and channels.

use sluice_broker::{BrokerError, Retention};
use sluice_testkit::eventually;
use sluice_wire::{EventId, NewEvent};

use crate::journal::{Following, Journal, quick};
use crate::stage::{SOON, Stage, topic};

/// What would tell every page of the topic that its token has expired, if it were delivered.
const RESERVED: &str = "\u{1}v=1 id=1-0 type=sluice.expired\n{}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_messages_and_entries_are_counted_and_disturb_nobody() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let following = Following::with(&stage, quick());
    following.follower.follow(&[topic("t")]).await;
    let first = stage.fill("t", 0..1).await;
    for corrupt in
        ["\u{1}v=9 id=1-1\nx", "\u{1}", "\u{1}v=1 id=junk\nx", "\u{1}v=1 id=1-0 type=%0A\nx", RESERVED]
    {
        server.cli(&["PUBLISH", "sluice:{t}:live", corrupt]).await.unwrap();
    }
    server.cli_with_stdin(&["-x", "PUBLISH", "sluice:{t}:live"], &[0xff, 0xfe]).await.unwrap();
    server.cli(&["XADD", "sluice:{t}:log", "*", "not", "ours"]).await.unwrap();
    server.cli(&["XADD", "sluice:{t}:log", "*", "data", "{}", "type", "sluice.expired"]).await.unwrap();
    let second = stage.fill("t", 1..2).await;
    following.journal.assert_exact(&topic("t"), &[first[0], second[0]]).await;
    assert_eq!(following.journal.book(&topic("t")).plain, [""; 0]);
    let counted = async || following.follower.status().left_out >= 8;
    eventually("all eight to be counted", SOON, counted).await.unwrap();
    let page = stage.broker.read(&topic("t"), EventId::ZERO, EventId::MAX, 10).await.unwrap();
    assert_eq!((page.events.len(), page.skipped.len()), (2, 2), "history shows none of them either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trailing_entry_that_is_none_of_ours_is_read_once() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let following = Following::with(&stage, quick());
    following.follower.follow(&[topic("t")]).await;
    let first = stage.fill("t", 0..1).await;
    following.journal.assert_exact(&topic("t"), &first).await;
    server.cli(&["XADD", "sluice:{t}:log", "*", "not", "ours"]).await.unwrap();
    let left_out = async || following.follower.status().left_out == 1;
    eventually("the entry to be noticed", SOON, left_out).await.unwrap();
    let checks = following.follower.status().tail_checks;
    let checked = async || following.follower.status().tail_checks > checks + 5;
    eventually("some tail checks", SOON, checked).await.unwrap();
    let status = following.follower.status();
    assert_eq!((status.left_out, status.holes_found, status.refilling), (1, 1, 0));
    let next = stage.fill("t", 1..2).await;
    following.journal.assert_exact(&topic("t"), &[first[0], next[0]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_refused_and_holds_up_nobody() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    server.cli(&["SET", "sluice:{bad}:log", "x"]).await.unwrap();
    let both = [NewEvent::new(topic("bad"), "x"), NewEvent::new(topic("good"), "x")];
    let answers = stage.broker.append(&both).await;
    let Err(BrokerError::Refused(why)) = &answers[0] else { panic!("{answers:?}") };
    assert!(why.contains("topic bad"), "{why}");
    assert!(answers[1].is_ok());
    let read = stage.broker.read(&topic("bad"), EventId::ZERO, EventId::MAX, 1).await;
    assert!(matches!(read, Err(BrokerError::Unexpected(_))), "{read:?}");

    let following = Following::with(&stage, quick());
    following.follower.follow(&[topic("good"), topic("bad")]).await;
    following.journal.wait_for("the link", Journal::is_live).await;
    server.cli(&["XADD", "sluice:{good}:log", "*", "data", "y"]).await.unwrap();
    let heard = async || following.journal.book(&topic("good")).data == ["y"];
    eventually("the tail check of the other topic", SOON, heard).await.unwrap();
    following.journal.wait_for("a confirmation", |j| j.book(&topic("good")).confirmed_ms > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_script_cache_costs_nothing_but_a_reload() {
    let stage = Stage::redis(Retention::default()).await;
    stage.fill("t", 0..1).await;
    stage.server.as_ref().unwrap().cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    let ids = stage.fill("t", 1..50).await;
    let page = stage.broker.read(&topic("t"), ids[0], EventId::MAX, 100).await.unwrap();
    let data: Vec<_> = page.events.iter().map(|event| event.data.to_string()).collect();
    assert_eq!(data, (1..50).map(|n| n.to_string()).collect::<Vec<_>>());
}
