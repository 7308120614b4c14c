//! A node is ready when it has done, with the user that it has, everything that its role needs of Redis.

use sluice_testkit::{Node, RedisCluster, RedisServer, SseStream, eventually, get, publish_http, request};
use tokio::time::timeout;

use crate::access::closed;
use crate::stage::{SOON, gateway, open, publisher};

/// Waits until `/readyz` says why `check` fails. Returns all of its answer.
async fn failing(node: &Node, check: &str, why: &str) -> serde_json::Value {
    let what = format!("/readyz to say that {check} fails for {why}");
    let told = eventually(&what, SOON, async || {
        let answer = get(node.ops_addr(), "/readyz").await?.expect_status(503)?.json()?;
        let told = &answer["checks"][check];
        let is_told = told["state"] == "failing" && told["why"].to_string().contains(why);
        if is_told { Ok(answer) } else { anyhow::bail!("{answer}") }
    });
    told.await.unwrap_or_else(|error| panic!("{error:#}\n{}", node.log()))
}

/// A Redis whose user `app` has `rules`.
async fn with_rules(rules: &str) -> RedisServer {
    RedisServer::builder().acl_user("app", "hunter2", rules).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_user_lacks_a_right_is_not_ready_and_says_which() {
    for (rules, check, why) in [
        ("~* &* -@all +ping", "read", "'time'"),
        ("~* &* -@all +ping", "subscribe", "'subscribe'"),
        ("~* &* +@all -subscribe", "subscribe", "'subscribe'"),
        ("~* resetchannels +@all", "subscribe", "channel"),
        ("~* &* +@all -xrange", "read", "'xrange'"),
        ("~other:* &* +@all", "read", "key"),
    ] {
        let redis = with_rules(rules).await;
        let mut node = gateway(&redis.url()).spawn_unready().unwrap();
        let answer = failing(&node, check, why).await;
        assert!(answer["checks"][check]["why"].to_string().contains("NOPERM"), "{answer}");
        assert!(!answer.to_string().contains("hunter2") && !node.log().contains("hunter2"), "{answer}");
        redis.cli(&["acl", "setuser", "app", "~*", "&*", "+@all"]).await.unwrap();
        node.ready().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_may_not_append_is_not_ready() {
    for (rules, why) in [
        ("~* &* +@all -evalsha", "'evalsha'"),
        ("~* &* +@all -xadd", "'xadd'"),
        ("~* resetchannels +@all", "channel"),
        ("%R~* &* +@all", "key"),
    ] {
        let redis = with_rules(rules).await;
        let mut node = publisher(&redis.url()).spawn_unready().unwrap();
        let answer = failing(&node, "append", why).await;
        assert!(answer["checks"].get("subscribe").is_none(), "a publisher listens to nothing: {answer}");
        redis.cli(&["acl", "setuser", "app", "~*", "&*", "+@all"]).await.unwrap();
        node.ready().await.unwrap();
    }
}

/// Who has tokens to judge must know who is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_may_not_read_who_is_revoked_is_not_ready() {
    let redis = with_rules("~* &* +@all -xrange").await;
    let mut node = closed(publisher(&redis.url())).spawn_unready().unwrap();
    failing(&node, "revocations", "'xrange'").await;
    redis.cli(&["acl", "setuser", "app", "+xrange"]).await.unwrap();
    node.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_are_named() {
    let redis = with_rules("~* &* +@all").await;
    let wrong = redis.url().replace("hunter2", "hunter3");
    let node = gateway(&wrong).spawn_unready().unwrap();
    for check in ["subscribe", "read"] {
        let answer = failing(&node, check, "WRONGPASS").await;
        assert!(!answer.to_string().contains("hunter3"), "{answer}");
    }
    let redis = RedisServer::builder().password("hunter2").start().await.unwrap();
    let node = publisher(&format!("redis://{}", redis.addr())).spawn_unready().unwrap();
    failing(&node, "append", "NOAUTH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_role_is_a_primary() {
    let redis = RedisServer::builder().arg("rename-command", "ROLE \"\"").start().await.unwrap();
    let node = gateway(&redis.url()).spawn().await.unwrap();
    let publisher = publisher(&redis.url()).spawn().await.unwrap();
    let mut stream = open(node.addr(), &["a"], &Default::default()).await;
    let id = publish_http(publisher.publisher_addr(), "a", "x").await.unwrap();
    let event = timeout(SOON, stream.event()).await.expect("the event").unwrap();
    assert_eq!(event.last_event_id, id.to_string());
}

/// A rollout with a user that one server does not let do its work is to stop; a server that is away is not to stop it
/// (`starting.rs`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_of_a_cluster_that_refuses_keeps_a_node_from_being_ready() {
    let cluster = RedisCluster::start().await.unwrap();
    let primary = cluster.primary_of("t0").await.unwrap();
    primary.cli(&["acl", "setuser", "default", "-xrange"]).await.unwrap();
    let mut node = gateway(&cluster.url()).spawn_unready().unwrap();
    failing(&node, "read", "'xrange'").await;
    primary.cli(&["acl", "setuser", "default", "+xrange"]).await.unwrap();
    node.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_appended_to_be_ready_expires_and_is_for_no_client() {
    let redis = RedisServer::start().await.unwrap();
    let node = gateway(&redis.url()).spawn().await.unwrap();
    let publisher = publisher(&redis.url()).spawn().await.unwrap();
    let keys = redis.cli(&["keys", "*"]).await.unwrap();
    assert!(keys.contains("sluice:{sluice.ready/0}:log"), "{keys}");
    for key in keys.lines() {
        let left_ms: i64 = redis.cli(&["pttl", key]).await.unwrap().trim().parse().unwrap();
        // A log may expire later by a hundredth of its age, and the record of its past outlives it.
        let most_ms = if key.ends_with(":past") { 60 * 60 * 1_000 } else { 60_600 };
        assert!((1..=most_ms).contains(&left_ms), "{key} stays for {left_ms} ms");
    }
    let read = SseStream::open(node.addr(), &["sluice.ready/0"], &Default::default()).await.unwrap();
    assert_eq!(read.status(), 403);
    let text = [("content-type", "text/plain")];
    let path = "/v1/topics/sluice.ready/0/events";
    let written = request(publisher.publisher_addr(), "POST", path, &text, "x").await.unwrap();
    assert_eq!(written.status, 403, "{}", written.text());
}

/// The password is replaced while a stream is open; every old connection is cut, as Redis does not do by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_rotated_needs_no_restart() {
    let redis = with_rules("~* &* +@all").await;
    let bare = format!("redis://{}", redis.addr());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let with_file = |builder: sluice_testkit::NodeBuilder| {
        let builder = builder.env("SLUICE_REDIS__USERNAME", "app");
        builder.env("SLUICE_REDIS__PASSWORD_FILE", file.to_str().unwrap())
    };
    let node = with_file(gateway(&bare)).spawn().await.unwrap();
    let publisher = with_file(publisher(&bare)).spawn().await.unwrap();
    let mut stream = open(node.addr(), &["a"], &Default::default()).await;
    let publish = async |data: &str| {
        let published = eventually("an event to be taken", SOON, async || {
            publish_http(publisher.publisher_addr(), "a", data).await
        });
        published.await.unwrap().to_string()
    };
    let first = publish("1").await;
    assert_eq!(stream.event().await.unwrap().last_event_id, first);

    redis.cli(&["acl", "setuser", "app", "resetpass", ">correct-horse"]).await.unwrap();
    std::fs::write(&file, "correct-horse\n").unwrap();
    redis.cli(&["client", "kill", "user", "app"]).await.unwrap();
    publish("2").await;
    loop {
        let event = timeout(SOON, stream.event()).await.expect("the second event").unwrap();
        if event.data == "2" {
            break;
        }
    }
    for log in [node.log(), publisher.log()] {
        assert!(log.contains("read changed credentials"), "{log}");
        assert!(!log.contains("hunter2") && !log.contains("correct-horse"), "{log}");
    }
}
