//! `sluice revoke`, with streams of its subjects on two nodes.

use serde_json::{Value, json};
use sluice_testkit::{RedisServer, eventually, request};

use super::{out, run, url};
use crate::access::{closed, token, with_token};
use crate::stage::{SOON, gateway, open, publisher};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_ends_the_streams_of_a_subject_or_a_token_and_another_takes_it_back() {
    let redis = RedisServer::start().await.unwrap();
    let address = redis.url();
    let (first, second, writer) = tokio::join!(
        closed(gateway(&address)).spawn(),
        closed(gateway(&address)).spawn(),
        closed(publisher(&address)).spawn()
    );
    let (first, second, writer) = (first.unwrap(), second.unwrap(), writer.unwrap());
    let mallory = token(&json!({"sub": "mallory"}));
    let (lost, kept) =
        (token(&json!({"sub": "alice", "jti": "a1"})), token(&json!({"sub": "alice", "jti": "a2"})));
    let mut meant = Vec::new();
    for token in [&mallory, &lost] {
        meant.push(open(first.addr(), &["orders/1"], &with_token(token)).await);
        meant.push(open(second.addr(), &["orders/1"], &with_token(token)).await);
    }
    let mut spared = open(second.addr(), &["orders/1"], &with_token(&kept)).await;

    let operations = url(writer.ops_addr());
    let ask = |args: &[&str]| {
        let args: Vec<String> =
            ["revoke", "--url", &operations].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        async move { run(&args.iter().map(String::as_str).collect::<Vec<_>>(), "", "").await }
    };
    let said = ask(&["mallory", "--for", "1h"]).await;
    assert!(out(&said)[0].starts_with("subject \"mallory\" is refused until 20"), "{said:?}");
    let said = ask(&["mallory", "--issuer", "elsewhere", "--for", "1h"]).await;
    assert!(
        out(&said)[0].starts_with("subject \"mallory\" of issuer \"elsewhere\" is refused until 20"),
        "{said:?}"
    );
    let said = ask(&["mallory", "--issuer", "elsewhere", "--lift"]).await;
    assert_eq!(out(&said)[0], "subject \"mallory\" of issuer \"elsewhere\" is let in again");
    assert!(out(&said)[1].starts_with("but subject \"mallory\" is refused until 20"), "{said:?}");
    let said = ask(&["--token-id", "a1", "--until", "2100-01-01T00:00:00Z"]).await;
    assert_eq!(said.status.code(), Some(1), "longer than any revocation may be");
    assert!(String::from_utf8_lossy(&said.stderr).contains("auth.revocation_max_s"), "{said:?}");
    let said = ask(&["--token-id", "a1", "--for", "30m", "--json"]).await;
    let told: Value = serde_json::from_str(out(&said)[0]).unwrap();
    assert!(told["token_id"] == "a1" && told["id"].is_string(), "{told}");
    for stream in &mut meant {
        assert_eq!(stream.control("sluice.expired").await.unwrap().data, r#"{"reason":"revoked"}"#);
        stream.end().await.unwrap();
    }

    let listed = || async {
        let listed = ask(&["--list", "--json"]).await;
        out(&listed).into_iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let all = listed().await;
    assert_eq!((&all[0]["token_id"], &all[1]["subject"]), (&json!("a1"), &json!("mallory")), "{all:?}");
    assert_eq!(out(&ask(&["mallory", "--lift"]).await), ["subject \"mallory\" is let in again"]);
    let bearer = format!("Bearer {mallory}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    eventually("mallory to be let in", SOON, async || {
        request(first.addr(), "HEAD", "/v1/events?topic=orders/1", &headers, "").await.unwrap().status == 200
    })
    .await
    .unwrap();
    assert_eq!(listed().await.len(), 1);
    out(&run(&["publish", "orders/1", "x", "--token", &mallory], &url(writer.publisher_addr()), "").await);
    assert_eq!(spared.event().await.unwrap().data, "x", "the other token of the same subject");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_call_a_refusal_and_nobody_there_are_told_apart() {
    for wrong in [
        &["revoke"][..],
        &["revoke", "u7"],
        &["revoke", "u7", "--for", "soon"],
        &["revoke", "u7", "--for", "0s"],
        &["revoke", "u7", "--until", "2001-01-01T00:00:00Z"],
        &["revoke", "u7", "--for", "1h", "--until", "2100-01-01T00:00:00Z"],
        &["revoke", "u7", "--token-id", "a1", "--for", "1h"],
        &["revoke", "--list", "--lift"],
        &["revoke", "u7", "--lift", "--url", "127.0.0.1:8082"],
    ] {
        let output = run(wrong, "", "").await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
    let nobody = run(&["revoke", "--list", "--url", "http://127.0.0.1:1"], "", "").await;
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");

    let (mut redis, node) = super::node().await;
    let operations = url(node.ops_addr());
    let nothing = run(&["revoke", "u7", "--for", "1h", "--url", &operations], "", "").await;
    assert_eq!(nothing.status.code(), Some(1), "a process that judges no credentials");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("auth.jwt"), "{nothing:?}");
    drop(node);
    let node = closed(gateway(&redis.url())).spawn().await.unwrap();
    let operations = url(node.ops_addr());
    redis.kill().unwrap();
    let away = run(&["revoke", "u7", "--for", "1h", "--url", &operations], "", "").await;
    assert_eq!(away.status.code(), Some(69), "Redis is away: {away:?}");
}
