//! Revocations across a cluster: one call, and whoever is meant is gone from every node and refused by every
//! process, those that start later too.

use std::net::SocketAddr;

use serde_json::json;
use sluice_testkit::{Node, RedisServer, Response, SentinelSet, eventually, get, request};

use super::{closed, now_s, token, with_token};
use crate::stage::{SOON, gateway, open, publisher};

const PUBLISH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sluice-broker/scripts/publish.lua");

async fn revoke(ops: SocketAddr, body: &serde_json::Value) -> Response {
    request(ops, "POST", "/v1/revocations", &[("content-type", "application/json")], body.to_string())
        .await
        .unwrap()
}

async fn publishes(address: SocketAddr, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    request(address, "POST", "/v1/topics/orders/1/events", &headers, "x").await.unwrap().status
}

async fn reads(address: SocketAddr, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    request(address, "HEAD", "/v1/events?topic=orders/1", &headers, "").await.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_revoked_is_gone_everywhere() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let (first, second, writer) = tokio::join!(
        closed(gateway(&url)).spawn(),
        closed(gateway(&url)).spawn(),
        closed(publisher(&url)).spawn()
    );
    let (mut first, second, writer) = (first.unwrap(), second.unwrap(), writer.unwrap());
    let mallory = token(&json!({"sub": "mallory", "jti": "m1"}));
    let (alice, lost) =
        (token(&json!({"sub": "alice", "jti": "a1"})), token(&json!({"sub": "alice", "jti": "a2"})));
    let mut meant = Vec::new();
    let mut spared = Vec::new();
    for node in [&first, &second] {
        meant.push(open(node.addr(), &["orders/1"], &with_token(&mallory)).await);
        meant.push(open(node.addr(), &["orders/1"], &with_token(&lost)).await);
        spared.push(open(node.addr(), &["orders/1"], &with_token(&alice)).await);
    }
    assert_eq!(publishes(writer.publisher_addr(), &mallory).await, 201);
    for wrong in [
        json!({}),
        json!({"subject": "a"}),
        json!({"subject": "a", "token_id": "b", "for_s": 1}),
        json!({"subject": "a", "for_s": 1, "until": "2030-01-01T00:00:00Z"}),
        json!({"subject": "", "for_s": 1}),
        json!({"subject": "a", "until": "tomorrow"}),
        json!({"subject": "a", "until": "2999-01-01T00:00:00Z"}),
        json!({"subject": "a", "for_s": 1, "why": "so"}),
        json!({"subject": "a", "for_s": 1, "issuer": ""}),
        json!({"subject": "a", "for_s": 1, "issuer": 7}),
    ] {
        assert_eq!(revoke(writer.ops_addr(), &wrong).await.status, 400, "{wrong}");
    }
    let cross = [("origin", "https://evil.example")];
    assert_eq!(request(first.ops_addr(), "POST", "/v1/revocations", &cross, "{}").await.unwrap().status, 403);

    assert_eq!(revoke(writer.ops_addr(), &json!({"subject": "mallory", "for_s": 600})).await.status, 201);
    assert_eq!(revoke(first.ops_addr(), &json!({"token_id": "a2", "for_s": 600})).await.status, 201);
    for stream in &mut meant {
        assert_eq!(stream.control("sluice.expired").await.unwrap().data, r#"{"reason":"revoked"}"#);
        stream.end().await.unwrap();
    }
    assert_eq!(publishes(writer.publisher_addr(), &alice).await, 201);
    for stream in &mut spared {
        assert_eq!(stream.event().await.unwrap().data, "x");
    }
    for token in [&mallory, &lost] {
        for address in [first.addr(), second.addr()] {
            assert_eq!(reads(address, token).await, 401);
        }
        eventually("the publisher to refuse", SOON, async || {
            publishes(writer.publisher_addr(), token).await == 401
        })
        .await
        .unwrap();
    }
    // A node that starts knows before it is ready.
    drop(spared);
    first.restart().await.unwrap();
    assert_eq!((reads(first.addr(), &mallory).await, reads(first.addr(), &alice).await), (401, 200));
    let listed = get(first.ops_addr(), "/v1/revocations").await.unwrap().json().unwrap();
    assert_eq!(listed["revocations"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(first.metric("sluice_auth_revocations").await.unwrap(), Some(2.0));

    assert_eq!(revoke(second.ops_addr(), &json!({"subject": "mallory", "for_s": 0})).await.status, 201);
    eventually("the lifted to be let in", SOON, async || reads(first.addr(), &mallory).await == 200)
        .await
        .unwrap();
    assert_eq!(reads(first.addr(), &lost).await, 401);
}

/// The names that an issuer gives are its own: somebody else's `alice` is somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_of_one_issuer_leaves_the_same_name_of_another_alone() {
    let redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    let (first, second) = tokio::join!(closed(gateway(&url)).spawn(), closed(gateway(&url)).spawn());
    let (mut first, second) = (first.unwrap(), second.unwrap());
    let alice = |issuer: &str| token(&json!({"sub": "alice", "jti": "a1", "iss": issuer}));
    let (one, two) = (alice("one"), alice("two"));
    let mut meant = open(first.addr(), &["orders/1"], &with_token(&one)).await;
    let mut spared = open(first.addr(), &["orders/1"], &with_token(&two)).await;
    let issuers = || async {
        let streams = get(first.ops_addr(), "/v1/streams").await.unwrap().json().unwrap();
        let streams = streams["streams"].as_array().unwrap().iter();
        let mut issuers: Vec<String> = streams.map(|stream| stream["issuer"].to_string()).collect();
        issuers.sort();
        issuers
    };
    eventually("both streams in their slots", SOON, async || issuers().await == ["\"one\"", "\"two\""])
        .await
        .unwrap();

    let until_s = 600;
    let of_one = json!({"subject": "alice", "issuer": "one", "for_s": until_s});
    let told = revoke(second.ops_addr(), &of_one).await.expect_status(201).unwrap().json().unwrap();
    assert_eq!((&told["issuer"], &told["also"]), (&json!("one"), &json!(null)), "{told}");
    assert_eq!(meant.control("sluice.expired").await.unwrap().data, r#"{"reason":"revoked"}"#);
    meant.end().await.unwrap();
    let everywhere =
        async |token: &str| [reads(first.addr(), token).await, reads(second.addr(), token).await];
    assert_eq!((everywhere(&one).await, everywhere(&two).await), ([401; 2], [200; 2]));
    redis.cli(&["--eval", PUBLISH, "sluice:{orders/1}:log", ",", "still"]).await.unwrap();
    assert_eq!(spared.event().await.unwrap().data, "still");

    // As a build wrote it that knew no issuers: whoever is called so.
    let entry = format!(r#"{{"token_id":"a1","until_ms":{}}}"#, (now_s() + until_s) * 1_000);
    redis.cli(&["XADD", "sluice:{sluice.revocations}:log", "*", "data", &entry]).await.unwrap();
    spared.control("sluice.expired").await.unwrap();
    eventually("both nodes to refuse", SOON, async || everywhere(&two).await == [401; 2]).await.unwrap();
    let lifted = json!({"token_id": "a1", "issuer": "two", "for_s": 0});
    let told = revoke(first.ops_addr(), &lifted).await.expect_status(201).unwrap().json().unwrap();
    assert_eq!(told["also"][0]["token_id"], "a1", "the one of all issuers holds: {told}");
    assert_eq!(reads(first.addr(), &two).await, 401);
    revoke(first.ops_addr(), &json!({"token_id": "a1", "for_s": 0})).await.expect_status(201).unwrap();
    first.restart().await.unwrap();
    assert_eq!((reads(first.addr(), &one).await, reads(first.addr(), &two).await), (401, 200));
}

/// Logged out everywhere, and logged in again: by an application with an API key, at the publisher's public listener.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_logs_a_user_out_everywhere_and_lets_the_next_login_in() {
    let hash = |key: &str| sluice_access::ApiKeyHash::of(key).to_string();
    let keys = format!(
        r#"[{{name = "login", hash = "{}", revoke = true}}, {{name = "shop", hash = "{}", publish = ["**"]}}]"#,
        hash("login-key"),
        hash("shop-key")
    );
    let redis = RedisServer::start().await.unwrap();
    let (first, writer) = tokio::join!(
        closed(gateway(&redis.url())).spawn(),
        closed(publisher(&redis.url()))
            .env("SLUICE_AUTH__API_KEYS", &keys)
            .env("SLUICE_LIMITS__REVOKE_BURST", "4")
            .env("SLUICE_LIMITS__REVOKE_PER_SECOND", "1")
            .spawn()
    );
    let (first, writer) = (first.unwrap(), writer.unwrap());
    let asks = async |method: &str, key: Option<&str>, body: serde_json::Value| {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let body = if method == "GET" { String::new() } else { body.to_string() };
        request(writer.publisher_addr(), method, "/v1/revocations", &headers, body).await.unwrap()
    };
    let login = Some("login-key");
    let logout = json!({"subject": "alice", "issued_before": "now"});
    for (key, status) in [(None, 401), (Some("shop-key"), 403)] {
        assert_eq!(asks("POST", key, logout.clone()).await.status, status, "{key:?}");
        assert_eq!(asks("GET", key, json!({})).await.status, status, "{key:?}");
    }
    let alice = |iat: Option<u64>| {
        token(&iat.map_or(json!({"sub": "alice"}), |iat| json!({"sub": "alice", "iat": iat})))
    };
    let (old, undated) = (alice(Some(now_s() - 60)), alice(None));
    let mut meant = open(first.addr(), &["orders/1"], &with_token(&old)).await;
    let told = asks("POST", login, logout).await.expect_status(201).unwrap().json().unwrap();
    assert!(told["issued_before"].is_string() && told["confirmed"] == true, "{told}");
    let new = alice(Some(now_s()));
    assert_eq!(meant.control("sluice.expired").await.unwrap().data, r#"{"reason":"revoked"}"#);
    meant.end().await.unwrap();
    let read = [reads(first.addr(), &old).await, reads(first.addr(), &undated).await];
    assert_eq!((read, reads(first.addr(), &new).await), ([401; 2], 200));
    let _again = open(first.addr(), &["orders/1"], &with_token(&new)).await;

    let of_a_key = json!({"subject": "key:shop", "for_s": 60});
    let refused = asks("POST", login, of_a_key.clone()).await;
    assert_eq!((refused.status, super::slug(&refused)), (403, "forbidden".to_owned()));
    let listed = asks("GET", login, json!({})).await.expect_status(200).unwrap().json().unwrap();
    assert_eq!(listed["revocations"][0]["subject"], "alice", "{listed}");
    // Four at once, then one a second.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        statuses.push(asks("POST", login, json!({"subject": "bob"})).await.status);
        assert!(statuses.len() < 100, "{statuses:?}");
    }
    assert_eq!(revoke(writer.ops_addr(), &of_a_key).await.status, 201, "the operator may");
}

/// A failover to a replica that lacks a revocation: the processes that know of it write it again, so that one that starts
/// afterwards refuses the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_outlives_a_failover_that_loses_it() {
    let mut set = SentinelSet::start().await.unwrap();
    let url = set.url();
    let (first, writer) = tokio::join!(closed(gateway(&url)).spawn(), closed(publisher(&url)).spawn());
    let (first, writer) = (first.unwrap(), writer.unwrap());
    let mallory = token(&json!({"sub": "mallory"}));
    let confirmed = revoke(writer.ops_addr(), &json!({"subject": "carol", "for_s": 600})).await;
    let confirmed = confirmed.expect_status(201).unwrap().json().unwrap();
    assert_eq!((&confirmed["confirmed"], &confirmed["replicas"]["connected"]), (&json!(true), &json!(1)));

    // The replica is connected and takes nothing, then it is not connected any more.
    let replica = set.replica().await.unwrap().addr();
    set.server(replica).unwrap().pause().unwrap();
    let unsure = async |subject: &str| {
        let told = revoke(writer.ops_addr(), &json!({"subject": subject, "for_s": 600})).await;
        let told = told.expect_status(201).unwrap().json().unwrap();
        assert_eq!(
            (&told["confirmed"], &told["replicas"]["confirmed"]),
            (&json!(false), &json!(0)),
            "{told}"
        );
        told["replicas"]["connected"].as_u64().unwrap()
    };
    assert_eq!(unsure("dave").await, 1);
    let primary = set.primary().await.unwrap();
    primary.cli(&["CLIENT", "KILL", "TYPE", "replica"]).await.unwrap();
    eventually("the primary to have no replica", SOON, async || {
        primary.cli(&["INFO", "replication"]).await.unwrap().contains("connected_slaves:0")
    })
    .await
    .unwrap();
    assert_eq!(unsure("mallory").await, 0);
    eventually("the gateway to refuse", SOON, async || reads(first.addr(), &mallory).await == 401)
        .await
        .unwrap();
    let primary = set.primary().await.unwrap().addr();
    set.kill_primary().await.unwrap();
    set.server(replica).unwrap().resume().unwrap();
    let now = set.taken_over(primary).await.unwrap();
    let log = async || {
        let server = set.server(now).unwrap();
        server.cli(&["XRANGE", "sluice:{sluice.revocations}:log", "-", "+"]).await.unwrap()
    };
    eventually("the revocation to be written again", SOON, async || log().await.contains("mallory"))
        .await
        .unwrap();
    assert!(log().await.contains("carol"), "what was confirmed was never lost");
    let restored = async |node: &Node| node.metric("sluice_auth_revocations_restored_total").await.unwrap();
    let restored = [restored(&first).await, restored(&writer).await].into_iter().flatten().sum::<f64>();
    assert!(restored >= 1.0, "{restored}");
    drop((first, writer));
    let late = closed(gateway(&url)).spawn().await.unwrap();
    assert_eq!(reads(late.addr(), &mallory).await, 401, "a process that starts knows before it is ready");
}
