//! What the public listener answers when there is no stream to be had, or none is asked for.

use std::net::SocketAddr;

use sluice_testkit::{Item, Response, SseOptions, SseStream, get, request};

use crate::stage::{Cluster, behind, open};

const SSE: (&str, &str) = ("accept", "text/event-stream");

fn slug(response: &Response) -> String {
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json().unwrap();
    assert_eq!(problem["status"], response.status);
    assert!(
        !problem["detail"].as_str().unwrap().is_empty() && !problem["title"].as_str().unwrap().is_empty()
    );
    problem["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_says_what_to_do() {
    let open_topics = r#"["open/**"]"#;
    let cluster =
        Cluster::start_with(|node| node.env("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", open_topics)).await;
    let address = cluster.addresses()[0];
    let many = (0..65).map(|n| format!("topic=open/{n}")).collect::<Vec<_>>().join("&");
    let many = format!("/v1/events?{many}");
    for (method, path, headers, status, expected) in [
        ("GET", "/v1/events", &[SSE][..], 400, "no-topic"),
        ("GET", "/v1/events?topic=a%20b", &[SSE], 400, "invalid-topic"),
        ("GET", "/v1/events?topic=a{b}", &[SSE], 400, "invalid-topic"),
        ("GET", many.as_str(), &[SSE], 400, "too-many-topics"),
        ("GET", "/v1/events?topic=open/a&since=yesterday", &[SSE], 400, "invalid-since"),
        ("GET", "/v1/events?topic=open/a&last_event_id=nonsense", &[SSE], 400, "invalid-cursor"),
        ("GET", "/v1/events?topic=closed", &[SSE], 401, "unauthorized"),
        ("GET", "/v1/events?topic=open/a&topic=closed", &[SSE], 401, "unauthorized"),
        ("GET", "/v1/topics/closed/events", &[], 401, "unauthorized"),
        ("GET", "/v1/events?topic=open/a", &[("accept", "application/json")], 406, "not-acceptable"),
        ("GET", "/v1/nothing", &[], 404, "not-found"),
        ("GET", "/", &[], 404, "not-found"),
        ("POST", "/v1/events?topic=open/a", &[], 405, "method-not-allowed"),
        ("DELETE", "/v1/topics/open/a/events", &[], 405, "method-not-allowed"),
        ("GET", "/v1/topics/open/../x/events", &[], 400, "invalid-topic"),
        ("GET", "/v1/topics/open//x/events", &[], 400, "invalid-topic"),
        ("GET", "/v1/topics/open/a/nothing", &[], 404, "not-found"),
        ("GET", "/v1/topics/open/a/events?limit=0", &[], 400, "invalid-limit"),
        ("GET", "/v1/topics/open/a/events?since=x", &[], 400, "invalid-since"),
    ] {
        let answer = request(address, method, path, headers, "").await.unwrap();
        assert_eq!((answer.status, slug(&answer).as_str()), (status, expected), "{method} {path}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_options_take_no_place() {
    let cluster = Cluster::start().await;
    let address = cluster.addresses()[0];
    let head = request(address, "HEAD", "/v1/events?topic=a", &[SSE], "").await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_stream_head(|name| head.header(name).map(str::to_owned));
    let refused = request(address, "HEAD", "/v1/events?topic=a%20b", &[SSE], "").await.unwrap();
    assert_eq!((refused.status, refused.body.len()), (400, 0));
    let options = request(address, "OPTIONS", "/v1/events?topic=a", &[], "").await.unwrap();
    assert_eq!(options.status, 204);
    assert!(options.header("allow").unwrap().contains("GET"));
    assert_eq!(cluster.gateways[0].metric("sluice_streams_opened_total").await.unwrap().unwrap_or(0.0), 0.0);

    let stream = SseStream::open(address, &["a"], &SseOptions::default()).await.unwrap();
    assert_stream_head(|name| Some(stream.headers().get(name)?.to_str().unwrap().to_owned()));
}

fn assert_stream_head(header: impl Fn(&str) -> Option<String>) {
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream; charset=utf-8"));
    assert_eq!(header("cache-control").as_deref(), Some("no-cache, no-transform"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    assert!(header("content-length").is_none());
    assert!(header("date").is_some());
}

/// The cursor in the header is what a browser sends back by itself: it must never be its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_cursor_in_the_header_is_told_and_the_stream_begins_now() {
    let cluster = Cluster::start().await;
    let address = cluster.addresses()[0];
    cluster.publish("a", "before").await;
    for cursor in ["nonsense", "17", "-", &"x".repeat(5_000), "a\u{e4}b"] {
        let mut stream = SseStream::open(address, &["a"], &behind(cursor)).await.unwrap();
        assert_eq!(stream.status(), 200, "{cursor}");
        let gap = stream.control("sluice.gap").await.unwrap();
        assert!(gap.data.contains(r#""reason":"unknown-cursor""#), "{}", gap.data);
        cluster.publish("a", cursor).await;
        assert_eq!(stream.event().await.unwrap().data, cursor);
    }
    assert_eq!(cluster.gateways[0].metric("sluice_gaps_total").await.unwrap(), Some(5.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_a_newer_version_is_sent_to_another_node() {
    let cluster = Cluster::start().await;
    // What no cursor of any version has in it is not said again.
    for (cursor, said) in [("v9.what~ev-er_", "v9.what~ev-er_"), ("v9.what ever", "")] {
        let mut stream = SseStream::open(cluster.addresses()[0], &["a"], &behind(cursor)).await.unwrap();
        assert_eq!(stream.status(), 200);
        assert_shed(&stream.end().await.unwrap(), "newer-cursor", said);
    }
    let refused = cluster.gateways[0].metric("sluice_admission_refused_total").await.unwrap();
    assert_eq!(refused, Some(2.0), "shed without being counted");
}

fn assert_shed(items: &[Item], reason: &str, cursor: &str) {
    let retry = items.iter().find_map(|item| match item {
        Item::Retry(ms) => Some(*ms),
        _ => None,
    });
    assert!((1_000..=3_000).contains(&retry.expect("a retry")), "{retry:?}");
    let events: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::Event(event) => {
                Some((event.event_type.as_str(), event.data.as_str(), event.last_event_id.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(events, [("sluice.shed", format!(r#"{{"reason":"{reason}"}}"#).as_str(), cursor)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_node_sheds_browsers_and_refuses_others() {
    let cluster = Cluster::start_with(|node| node.env("SLUICE_LIMITS__STREAMS_MAX", "2")).await;
    let address = cluster.addresses()[0];
    let first = cluster.stream(0, &["a"], &SseOptions::default()).await;
    let _second = cluster.stream(0, &["a"], &SseOptions::default()).await;
    for cursor in ["", "17-0~23", "v1.7is16304.XX7o6s1I-5"] {
        let mut third = SseStream::open(address, &["a"], &behind(cursor)).await.unwrap();
        assert_eq!(third.status(), 200);
        assert_shed(&third.end().await.unwrap(), "streams-max", cursor);
    }
    assert_refused(address, "/v1/events?topic=a", "*/*").await;
    assert_refused(address, "/v1/events?topic=a&errors=status", "text/event-stream").await;
    let refused = cluster.gateways[0].metric("sluice_admission_refused_total").await.unwrap();
    assert_eq!(refused, Some(5.0));

    drop(first);
    let options = SseOptions::default();
    sluice_testkit::eventually("room for another stream", crate::stage::SOON, async || {
        let mut stream = SseStream::open(address, &["a"], &options).await?;
        let _retry = stream.next().await?;
        anyhow::ensure!(matches!(stream.next().await?, Some(Item::Id(_))), "shed again");
        Ok(())
    })
    .await
    .unwrap();
    // The other node was never full.
    open(cluster.addresses()[1], &["a"], &options).await;
}

async fn assert_refused(address: SocketAddr, path: &str, accept: &str) {
    let answer = request(address, "GET", path, &[("accept", accept)], "").await.unwrap();
    assert_eq!((answer.status, slug(&answer).as_str()), (503, "streams-max"));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operations_listener_answers_by_itself() {
    let cluster = Cluster::start().await;
    let ops = cluster.gateways[0].ops_addr();
    for path in ["/livez", "/readyz", "/startupz", "/metrics", "/v1/node"] {
        get(ops, path).await.unwrap().expect_status(200).unwrap();
        let public = get(cluster.addresses()[0], path).await.unwrap();
        assert_eq!(public.status, 404, "{path} is not public");
    }
    let _stream = cluster.stream(0, &["a", "b"], &SseOptions::default()).await;
    let node = get(ops, "/v1/node").await.unwrap().json().unwrap();
    assert_eq!((&node["streams"], &node["feeds"], &node["topics"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!((&node["role"], &node["follower"]["live"]), (&"gateway".into(), &true.into()));
    let follower = &node["follower"];
    assert_eq!((&follower["servers"], &follower["servers_connected"]), (&1.into(), &1.into()));
    assert_eq!((&follower["unread"], &node["open_circuits"]), (&serde_json::json!([]), &().into()));
}
