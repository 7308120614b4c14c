//! The three ways in by redis-cli, with the real one.

use std::io::Write;

use sluice_broker::{PUBLISH_SCRIPT, Retention};
use sluice_testkit::{RedisServer, eventually};
use sluice_wire::{EventId, NewEvent};

use crate::journal::{Following, Journal, quick, without_tail_check};
use crate::stage::{SOON, Stage, topic};

fn script() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(PUBLISH_SCRIPT.as_bytes()).unwrap();
    file
}

async fn eval(server: &RedisServer, arguments: &[&str]) -> anyhow::Result<String> {
    let file = script();
    let mut all = vec!["--eval", file.path().to_str().unwrap()];
    all.extend(arguments);
    server.cli(&all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_by_hand_is_durable_and_live() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let following = Following::with(&stage, without_tail_check());
    following.journal.wait_for("the link", Journal::is_live).await;
    following.follower.follow(&[topic("orders")]).await;
    let answer = eval(server, &["sluice:{orders}:log", ",", r#"{"id":1}"#, "order.created"]).await.unwrap();
    let id: EventId = answer.lines().next().unwrap().trim_matches('"').parse().unwrap();
    following.journal.assert_exact(&topic("orders"), &[id]).await;
    assert_eq!(following.follower.status().holes_found, 0, "it came by the fast path");
    let page = stage.broker.read(&topic("orders"), id, id, 1).await.unwrap();
    assert_eq!(&*page.events[0].data, r#"{"id":1}"#);
    assert_eq!(page.events[0].event_type.as_ref().unwrap().as_str(), "order.created");
    assert_eq!(server.cli(&["PTTL", "sluice:{orders}:log"]).await.unwrap(), "-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_refuses_what_could_break_a_stream() {
    let server = RedisServer::start().await.unwrap();
    let long = "x".repeat(201);
    for kind in ["a\nb", "a\rb", "a\u{85}b", "a\u{7f}b", &long] {
        let why = eval(&server, &["sluice:{t}:log", ",", "x", kind]).await.unwrap_err();
        assert!(format!("{why:#}").contains("control characters"), "{why:#}");
    }
    let why = eval(&server, &["orders", ",", "x"]).await.unwrap_err();
    assert!(format!("{why:#}").contains("must be the log of a topic"), "{why:#}");
    let why = eval(&server, &["sluice:{t}:log"]).await.unwrap_err();
    assert!(format!("{why:#}").contains("data of the event"), "{why:#}");
    assert_eq!(server.cli(&["EXISTS", "sluice:{t}:log"]).await.unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_touches_the_record_of_a_repeated_key() {
    let server = RedisServer::start().await.unwrap();
    let once = "sluice:{t}:once:k";
    let keys = ["sluice:{t}:log", once, ",", "x"];
    let first = eval(&server, &keys).await.unwrap();
    server.cli(&["PEXPIRE", once, "100000"]).await.unwrap();
    let second = eval(&server, &keys).await.unwrap();
    assert_eq!(first.lines().next(), second.lines().next());
    assert!(first.ends_with('0') && second.ends_with('1'), "{first} {second}");
    let left: u64 = server.cli(&["PTTL", once]).await.unwrap().parse().unwrap();
    assert!(left > 200_000, "{left}");
    assert_eq!(server.cli(&["XLEN", "sluice:{t}:log"]).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prev_is_the_last_generated_id_also_of_an_emptied_log() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let ids = stage.fill("t", 0..3).await;
    server.cli(&["XDEL", "sluice:{t}:log", &ids[2].to_string()]).await.unwrap();
    let next = stage.fill("t", 3..4).await;
    server.cli(&["XTRIM", "sluice:{t}:log", "MAXLEN", "0"]).await.unwrap();
    let last = stage.append(NewEvent::new(topic("t"), "x")).await.id;
    let page = stage.broker.read(&topic("t"), last, last, 1).await.unwrap();
    assert_eq!(page.events[0].prev, Some(next[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_xadd_comes_within_a_tail_check() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let following = Following::with(&stage, quick());
    following.follower.follow(&[topic("orders")]).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let data = n.to_string();
        let answer = server.cli(&["XADD", "sluice:{orders}:log", "*", "data", &data]).await.unwrap();
        ids.push(answer.trim_matches('"').parse().unwrap());
        ids.extend(stage.fill("orders", n..n + 1).await);
    }
    following.journal.assert_exact(&topic("orders"), &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_publish_is_live_only() {
    let stage = Stage::redis(Retention::default()).await;
    let server = stage.server.as_ref().unwrap();
    let following = Following::with(&stage, without_tail_check());
    following.follower.follow(&[topic("orders")]).await;
    server.cli(&["PUBLISH", "sluice:{orders}:live", "hello wörld"]).await.unwrap();
    let heard = async || following.journal.book(&topic("orders")).plain == ["hello wörld"];
    eventually("the text", SOON, heard).await.unwrap();
    assert_eq!(server.cli(&["EXISTS", "sluice:{orders}:log"]).await.unwrap(), "0");
}
