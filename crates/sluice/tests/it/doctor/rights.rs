//! The users of docs/redis.md: that they suffice, and that what one lacks is named.

use std::collections::BTreeSet;

use serde_json::json;
use sluice_testkit::{RedisServer, get, publish_with};

use super::Visit;
use crate::access::{closed, token, with_token};
use crate::stage::{gateway, open, publisher, since};

/// The address of `redis` for a user.
fn address(redis: &RedisServer, user: &str, password: &str) -> String {
    redis.url().replace("redis://", &format!("redis://{user}:{password}@"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_may_not_do_is_named() {
    let redis = RedisServer::builder().appendonly(true).start().await.unwrap();
    let with = |user: &str, password: &str| address(&redis, user, password);
    for line in least_rights() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(redis.cli(&words).await.unwrap().trim(), "OK", "{line}");
    }
    for (user, password, role) in [
        ("sluice-gateway", "g", "gateway"),
        ("sluice-publisher", "p", "publisher"),
        ("sluice-both", "b", "dev"),
    ] {
        let visit = Visit::of_redis(&with(user, password), &[role]).await;
        assert_eq!((visit.code, visit.complaints("redis.")), (0, Vec::new()), "{}", visit.printed);
        assert_eq!((visit.level("redis.permissions"), visit.level("redis.questions")), ("ok", "note"));
        if role != "publisher" {
            assert_ne!(visit.level("redis.subscription"), "error");
        }
    }
    let doctor = Visit::of_redis(&with("sluice-doctor", "d"), &["dev"]).await;
    assert_eq!((doctor.code, doctor.complaints("redis.")), (0, Vec::new()), "{}", doctor.printed);
    assert_eq!(doctor.level("redis.eviction"), "ok");
    assert!(!doctor.printed.contains("redis.questions"), "{}", doctor.printed);

    for (user, rule) in [("sluice-gateway", "-xread"), ("sluice-publisher", "-xadd")] {
        redis.cli(&["acl", "setuser", user, rule]).await.unwrap();
    }
    let visit = Visit::of_redis(&with("sluice-gateway", "g"), &["gateway"]).await;
    assert_eq!((visit.code, visit.level("redis.permissions")), (1, "error"));
    assert!(visit.seen("redis.permissions").contains("may not: XREAD\""), "{}", visit.printed);
    let visit = Visit::of_redis(&with("sluice-publisher", "p"), &["publisher"]).await;
    assert!(visit.seen("redis.permissions").contains("may not: XADD\""), "{}", visit.printed);
    redis.cli(&["acl", "setuser", "sluice-publisher", "+xadd", "-wait"]).await.unwrap();
    let waiting = ["publisher", "--set", "publisher.wait_replicas=1"];
    let visit = Visit::of_redis(&with("sluice-publisher", "p"), &waiting).await;
    assert!(visit.seen("redis.permissions").contains("may not: WAIT\""), "{}", visit.printed);
    redis.cli(&["acl", "setuser", "sluice-gateway", "+xread", "-subscribe"]).await.unwrap();
    let hasty = ["gateway", "--set", "redis.probe_deadline_ms=2000"];
    let visit = Visit::of_redis(&with("sluice-gateway", "g"), &hasty).await;
    assert_eq!((visit.code, visit.level("redis.subscription")), (1, "error"));
    let stranger = Visit::of_redis(&with("sluice-gateway", "hunter2"), &[]).await;
    assert_eq!((stranger.code, stranger.level("redis.login")), (1, "error"));
    assert!(!stranger.printed.contains("hunter2"), "{}", stranger.printed);
    assert_eq!(stranger.complaints("redis.").len(), 1, "the rest was judged: {}", stranger.printed);
}

/// The lines of docs/redis.md that make users, with passwords for this test.
fn least_rights() -> Vec<String> {
    let lines: Vec<String> = lines().into_iter().filter(|line| line.contains(" on >")).collect();
    assert!(lines.len() == 4, "docs/redis.md has lost its ACL lines");
    lines
}

/// The line that adds what a shared limit needs.
fn rights_to_share() -> String {
    let more: Vec<String> = lines().into_iter().filter(|line| !line.contains(" on >")).collect();
    assert!(more.len() == 1, "docs/redis.md has lost the line for limits that nodes share: {more:?}");
    more.concat()
}

fn lines() -> Vec<String> {
    let page = include_str!("../../../../../docs/redis.md");
    let page = page.replace("\\\n", " ").replace('\'', "");
    let lines = page.lines().filter(|line| line.starts_with("ACL SETUSER sluice-"));
    lines
        .map(|line| {
            let passwords = [("GATEWAY", "g"), ("PUBLISHER", "p"), ("BOTH", "b"), ("DOCTOR", "d")];
            passwords.iter().fold(line.to_owned(), |line, (whose, password)| {
                line.replace(&format!(">{whose}_PASSWORD"), &format!(">{password}"))
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_least_rights_does_all_that_nodes_do() {
    let redis = RedisServer::start().await.unwrap();
    for line in least_rights() {
        redis.cli(&line.split_whitespace().collect::<Vec<_>>()).await.unwrap();
    }
    let with = |user: &str, password: &str| address(&redis, user, password);
    let node = gateway(&with("sluice-gateway", "g")).spawn().await.unwrap();
    let publisher = publisher(&with("sluice-publisher", "p"))
        .env("SLUICE_TOPICS__RETENTION_AGE_MAX_S", "1")
        .env("SLUICE_TOPICS__IDLE_EXPIRY_S", "3600")
        .spawn()
        .await
        .unwrap();
    let publish = async |data: &str, key: &str| {
        let keyed = [("idempotency-key", key)];
        publish_with(publisher.publisher_addr(), "orders", data, &keyed).await.unwrap()
    };
    let first = publish("1", "a").await;
    assert_eq!(publish("1", "a").await, first);
    let mut stream = open(node.addr(), &["orders"], &since("earliest")).await;
    redis.cli(&["script", "flush"]).await.unwrap();
    let second = publish("2", "b").await;
    let events = [stream.event().await.unwrap(), stream.event().await.unwrap()];
    let ids = events.each_ref().map(|event| event.last_event_id.clone());
    assert_eq!(ids, [first.to_string(), second.to_string()]);
    let history = get(node.addr(), "/v1/topics/orders/events?since=last:1").await.unwrap();
    assert!(history.text().contains(&second.to_string()), "{}", history.text());
    let forged = redis.cli(&["acl", "dryrun", "sluice-gateway", "publish", "sluice:{a}:live", "x"]);
    assert!(forged.await.unwrap().contains("no permission"), "a gateway may announce events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_nodes_share_needs_rights_of_its_own() {
    const LIMIT: &str = "limits.cluster_streams_per_subject_max=1";
    let redis = RedisServer::builder().appendonly(true).start().await.unwrap();
    for line in least_rights() {
        redis.cli(&line.split_whitespace().collect::<Vec<_>>()).await.unwrap();
    }
    let with = address(&redis, "sluice-gateway", "g");
    let visit = Visit::of_redis(&with, &["gateway", "--set", LIMIT]).await;
    assert_eq!((visit.code, visit.level("redis.permissions")), (1, "error"));
    for command in ["HSET", "HDEL", "HKEYS", "HMGET", "PEXPIRE", "EXISTS", "HLEN"] {
        assert!(visit.seen("redis.permissions").contains(command), "{command}: {}", visit.printed);
    }
    redis.cli(&rights_to_share().split_whitespace().collect::<Vec<_>>()).await.unwrap();
    let node = closed(gateway(&with)).arg("--set").arg(LIMIT).spawn().await.unwrap();
    let options = with_token(&token(&json!({})));
    let _stream = open(node.addr(), &["orders/1"], &options).await;
    assert_eq!(node.metric("sluice_cluster_limit_unchecked_total").await.unwrap(), Some(0.0));
    let keys = async || {
        let keys = redis.cli(&["keys", "sluice:*"]).await.unwrap();
        keys.lines().map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let before = keys().await;
    assert!(before.len() == 2 && before.contains("sluice:nodes"), "{before:?}");
    let visit = Visit::of_redis(&with, &["gateway", "--set", LIMIT]).await;
    assert_eq!((visit.code, visit.level("redis.permissions")), (0, "ok"), "{}", visit.printed);
    assert_eq!(keys().await, before, "what is tried changes nothing");
    assert_eq!(redis.cli(&["hlen", "sluice:nodes"]).await.unwrap().trim(), "1");
}

/// Where nothing was allowed nothing is judged, and nothing else is blamed for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_password_there_is_one_finding() {
    let redis = RedisServer::builder().password("hunter2").start().await.unwrap();
    let visit = Visit::of_redis(&format!("redis://{}", redis.addr()), &["dev"]).await;
    assert_eq!((visit.code, visit.level("redis.login")), (1, "error"));
    assert!(visit.seen("redis.login").contains("NOAUTH"), "{}", visit.printed);
    let judged =
        visit.findings.iter().filter(|finding| finding["id"].as_str().unwrap().starts_with("redis."));
    assert_eq!(judged.count(), 1, "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_the_server_does_not_have_are_named() {
    let redis = RedisServer::builder()
        .arg("rename-command", "XREAD \"\"")
        .arg("rename-command", "ROLE \"\"")
        .start()
        .await
        .unwrap();
    let visit = Visit::of_redis(&redis.url(), &["gateway"]).await;
    assert_eq!((visit.code, visit.level("redis.commands")), (1, "error"), "{}", visit.printed);
    assert!(visit.seen("redis.commands").contains("XREAD"), "{}", visit.printed);
    assert!(!visit.printed.contains("redis.permissions"), "{}", visit.printed);
    assert_eq!(visit.level("redis.role"), "note", "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_tls_is_said_in_words() {
    let redis = RedisServer::builder().tls_without_client_certificates().start().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let other = sluice_testkit::Certificates::create_in(other.path()).unwrap();
    let ca = |file: std::path::PathBuf| format!("redis.tls.ca_file={}", file.display());
    let visit = Visit::of_redis(&redis.url(), &["--set", &ca(other.ca_file())]).await;
    let seen = visit.seen("redis.address");
    assert!(seen.contains("not signed by the authority in redis.tls.ca_file"), "{seen}");
    for word in ["BadSignature", "InvalidCertificate", "invalid peer certificate"] {
        assert!(!visit.printed.contains(word), "{}", visit.printed);
    }
}
