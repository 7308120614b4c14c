//! What a process logs, as an operator reads it: on standard error, in text and in JSON.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_testkit::{Node, RedisServer, SseOptions, SseStream, eventually, get, request};

use crate::access::{closed, token};
use crate::stage::{SOON, gateway, publisher};

fn json(builder: sluice_testkit::NodeBuilder) -> sluice_testkit::NodeBuilder {
    builder.env("SLUICE_TELEMETRY__LOG_FORMAT", "json")
}

/// The lines of a log in JSON.
fn lines(node: &Node) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    node.log().lines().map(parse).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

/// No Redis: the state is told once, the address and the reason are in it, and what are numbers are numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_not_there_is_told_once_and_its_return_once() {
    let mut redis = RedisServer::start().await.unwrap();
    redis.kill().unwrap();
    let mut node = json(gateway(&redis.url())).spawn_unready().unwrap();
    let refused = format!("Redis at {} refuses connections; retrying", redis.addr());
    eventually("the line", SOON, async || {
        if node.log().contains(&refused) { Ok(()) } else { anyhow::bail!("{}", node.log()) }
    })
    .await
    .unwrap();
    redis.restart().await.unwrap();
    node.ready().await.unwrap();
    assert_eq!(node.terminate(SOON).await.unwrap(), 0);
    let lines = lines(&node);
    let messages = messages(&lines);
    let count = |text: &str| messages.iter().filter(|message| **message == text).count();
    assert_eq!(count(&refused), 1, "{messages:#?}");
    assert_eq!(count("ready: Redis can be used"), 1, "{messages:#?}");
    let started = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("starting sluice"));
    let started = started.unwrap_or_else(|| panic!("{messages:#?}"));
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&started["role"], &started["redis"]), (&"gateway".into(), &redis.url().into()));
    assert!(started["descriptors"].is_u64() && started["streams_max"].is_u64(), "{started}");
    assert!(
        started["message"].as_str().unwrap().contains("anybody may subscribe to every topic"),
        "{started}"
    );
    let ended = lines.last().unwrap();
    let text = ended["message"].as_str().unwrap();
    assert!(
        text.starts_with("shut down after ") && text.contains("0 streams told to reconnect, 0 cut off"),
        "{ended}"
    );
    for line in &lines {
        for (name, value) in line.as_object().unwrap() {
            let is_figure = name.ends_with("_ms") || name.ends_with("_bytes") || name.ends_with("_max");
            assert!(!is_figure || value.is_u64(), "{name} of {line} is no number");
        }
        let message = line["message"].as_str().unwrap();
        assert!(!message.ends_with('.') && !message.contains("os error"), "{message}");
        assert!(message.len() <= 300, "{} characters: {message}", message.len());
    }
}

/// A name that cannot be resolved is told in a line, not in one for each sentinel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_cannot_be_resolved_are_told_shortly() {
    let url = "redis+sentinel://s1.invalid,s2.invalid,s3.invalid/mymaster";
    let node = json(publisher(url)).spawn_unready().unwrap();
    eventually("the line", SOON, async || {
        if node.log().contains("cannot discover") { Ok(()) } else { anyhow::bail!("{}", node.log()) }
    })
    .await
    .unwrap();
    let lines = lines(&node);
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "cannot discover the Redis servers; retrying")
        .collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    let error = told[0]["error"].as_str().unwrap();
    assert!(error.contains("the host name of Redis at s1.invalid:26379 cannot be resolved"), "{error}");
    assert!(!error.contains("lookup address"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_has_one_line_with_its_reason_and_without_its_token() {
    let redis = RedisServer::start().await.unwrap();
    let node = json(closed(gateway(&redis.url()))).spawn().await.unwrap();
    let publisher = json(closed(publisher(&redis.url()))).spawn().await.unwrap();
    let mut mine =
        token(&serde_json::json!({ "sub": "ann", "sluice": { "subscribe": ["mine"], "publish": ["mine"] } }));
    let with_token = format!("Bearer {mine}");
    let headers = [("authorization", with_token.as_str()), ("content-type", "text/plain")];
    let path = "/v1/events?topic=theirs";
    assert_eq!(request(node.addr(), "GET", path, &headers, "").await.unwrap().status, 403);
    let path = "/v1/topics/theirs/events";
    assert_eq!(request(publisher.publisher_addr(), "POST", path, &headers, "x").await.unwrap().status, 403);
    for node in [&node, &publisher] {
        let line = eventually("the line", SOON, async || {
            let found = lines(node).into_iter().find(|line| line["message"] == "refused a request");
            found.ok_or_else(|| anyhow::anyhow!("{}", node.log()))
        });
        let line = line.await.unwrap();
        assert_eq!(line["level"], "INFO", "{line}");
        let told = (&line["reason"], &line["topic"], &line["subject"], &line["status"]);
        assert_eq!(told, (&"not-granted".into(), &"theirs".into(), &"ann".into(), &403.into()), "{line}");
        let signature = mine.rsplit('.').next().unwrap();
        assert!(!node.log().contains(signature), "{}", node.log());
    }
    mine.push('x');
    let broken = format!("/v1/events?topic=theirs&token={mine}");
    for _ in 0..100 {
        get(node.addr(), &broken).await.unwrap();
    }
    let refused = lines(&node).into_iter().filter(|line| line["message"] == "refused a request").count();
    assert!((2..=40).contains(&refused), "{refused} lines for 101 refusals");
    assert!(!node.log().contains(&mine), "{}", node.log());
}

/// What is shed gets a status of 200, and a line all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shed_stream_has_a_line() {
    let redis = RedisServer::start().await.unwrap();
    let node = json(gateway(&redis.url())).env("SLUICE_LIMITS__STREAMS_MAX", "1").spawn().await.unwrap();
    let options = SseOptions::default();
    let _first = SseStream::open(node.addr(), &["a"], &options).await.unwrap();
    let _second = SseStream::open(node.addr(), &["b"], &options).await.unwrap();
    let line = eventually("the line", SOON, async || {
        let found = lines(&node).into_iter().find(|line| line["message"] == "refused a request");
        found.ok_or_else(|| anyhow::anyhow!("{}", node.log()))
    });
    let line = line.await.unwrap();
    assert_eq!((&line["reason"], &line["topic"]), (&"streams-max".into(), &"b".into()), "{line}");
}

/// A program that asks the wrong process is told which one it is, and where the other one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_process_says_which_it_is() {
    let redis = RedisServer::start().await.unwrap();
    let node = gateway(&redis.url()).spawn().await.unwrap();
    let publisher = publisher(&redis.url()).spawn().await.unwrap();
    let text = [("content-type", "text/plain")];
    let posted = request(node.addr(), "POST", "/v1/topics/a/events", &text, "x").await.unwrap();
    assert_eq!(posted.status, 405, "{}", posted.text());
    for part in ["this is a gateway", "publisher.addr", "8081"] {
        assert!(posted.text().contains(part), "{part}: {}", posted.text());
    }
    let mut said = BTreeSet::new();
    for path in ["/v1/events?topic=a", "/v1/nothing"] {
        let answer = get(publisher.publisher_addr(), path).await.unwrap();
        assert!(answer.text().contains("this is a publisher"), "{path}: {}", answer.text());
        assert!(answer.text().contains("listen.addr"), "{path}: {}", answer.text());
        said.insert(answer.status);
    }
    assert_eq!(said, BTreeSet::from([404, 405]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_short_of_descriptors_says_so_with_figures() {
    let redis = RedisServer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let limited = crate::exhausted::limited(directory.path(), 200);
    let node = json(Node::builder(&limited, sluice_testkit::Role::Gateway).redis(&redis.url()))
        .spawn()
        .await
        .unwrap();
    let lines = lines(&node);
    let told = lines.iter().find(|line| line["level"] == "WARN" && line["descriptors"] == 200);
    let told = told.unwrap_or_else(|| panic!("{lines:#?}"));
    let text = told["message"].as_str().unwrap();
    assert!(text.contains("may open 200 files") && text.contains("LimitNOFILE"), "{told}");
}
