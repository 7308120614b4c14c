//! One trace from a publisher's request to every node that delivers, as a collector sees it.

mod collector;
mod failing;
mod independent;
mod secure;

use std::time::Duration;

use sluice_testkit::{Node, NodeBuilder, RedisServer, Role, SseOptions, publish_batch, publish_with};
use tokio::process::Command;

use self::collector::{Collector, Seen};
use crate::stage::{Cluster, SLUICE, SOON, gateway, open, publisher};

const SECRET: &str = "Bearer hunter2";

/// How long a node may take to be gone whose collector answers nothing.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A `traceparent` of its own trace, and its trace's and span's ids.
fn caller(number: u8, flags: &str) -> (String, String, String) {
    let (trace, span) =
        (format!("4bf92f3577b34da6a3ce929d0e0e{number:04x}"), format!("00f067aa0ba9{number:04x}"));
    (format!("00-{trace}-{span}-{flags}"), trace, span)
}

/// Sends a node's spans to `endpoint`.
fn traced(node: NodeBuilder, protocol: &str, endpoint: &str) -> NodeBuilder {
    node.env("SLUICE_TELEMETRY__OTLP__ENDPOINT", endpoint)
        .env("SLUICE_TELEMETRY__OTLP__PROTOCOL", protocol)
        .env("SLUICE_TELEMETRY__OTLP__HEADERS", &format!("authorization={SECRET}"))
        .env("SLUICE_TELEMETRY__OTLP__TIMEOUT_MS", "2000")
        .env("SLUICE_TELEMETRY__RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .env("SLUICE_TELEMETRY__LOG_LEVEL", "info,sluice_publisher=debug")
        // Otherwise whoever is told of nothing by a lost announcement waits for it.
        .env("SLUICE_TOPICS__TAIL_CHECK_INTERVAL_MS", "200")
}

async fn cluster(protocol: &str, endpoint: &str) -> Cluster {
    let redis = RedisServer::start().await.unwrap();
    let gateway = || traced(gateway(&redis.url()), protocol, endpoint).spawn();
    let publisher = traced(publisher(&redis.url()), protocol, endpoint).spawn();
    let (first, second, publisher) = tokio::join!(gateway(), gateway(), publisher);
    Cluster { gateways: [first.unwrap(), second.unwrap()], publisher: publisher.unwrap(), redis }
}

async fn publish(node: &Node, topic: &str, traceparent: &str) -> String {
    let headers = [("traceparent", traceparent)];
    publish_with(node.publisher_addr(), topic, "x", &headers).await.unwrap().to_string()
}

fn named<'a>(spans: &'a [Seen], name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|span| span.name() == name).collect()
}

/// Two nodes, each with its own `deliver` span behind `parent`.
fn assert_delivered(spans: &[Seen], parent: &str, id: &str, streams: [&str; 2]) {
    let delivered = named(spans, "deliver");
    let mut told: Vec<&str> = delivered.iter().map(|span| span.says("sluice.streams")).collect();
    told.sort_unstable();
    // A stream that has its cursor but is not in the ring yet gets the event by catch-up, beside the pass.
    let at_most = told.iter().zip(streams).all(|(told, open)| *told <= open);
    assert!(told.len() == streams.len() && at_most, "{told:?} of {streams:?}: {delivered:?}");
    assert_ne!(delivered[0].instance(), delivered[1].instance());
    for span in delivered {
        assert_eq!((span.parent.as_str(), span.says("messaging.message.id")), (parent, id));
        assert_eq!((span.says("messaging.destination.name"), span.service()), ("orders", "sluice-gateway"));
        assert_eq!(span.resource["deployment.environment.name"], "test");
        assert!(span.span.end_time_unix_nano >= span.span.start_time_unix_nano, "{span:?}");
    }
}

async fn one_trace(protocol: &str, collector: &Collector) {
    let cluster = cluster(protocol, &collector.endpoint()).await;
    let options = SseOptions::default();
    let mut streams = Vec::new();
    for gateway in [0, 1, 1] {
        streams.push(cluster.stream(gateway, &["orders"], &options).await);
    }

    let (traceparent, trace, span) = caller(1, "01");
    let id = publish(&cluster.publisher, "orders", &traceparent).await;
    let spans = collector.trace(&trace, &["publish", "redis publish", "deliver", "deliver"]).await;
    let (request, flush) = (named(&spans, "publish")[0], named(&spans, "redis publish")[0]);
    assert_eq!((&request.parent, &flush.parent), (&span, &request.id));
    assert_eq!((request.service(), flush.instance()), ("sluice-publisher", request.instance()));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("url.path", "/v1/topics/orders/events"),
        ("messaging.system", "sluice"),
        ("messaging.destination.name", "orders"),
        ("messaging.message.id", &id),
        ("sluice.outcome", "appended"),
    ] {
        assert_eq!(request.says(name), value, "{name}");
    }
    assert_delivered(&spans, &flush.id, &id, ["1", "2"]);
    let log = cluster.publisher.log();
    let line = log.lines().find(|line| line.contains("published")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&format!("trace_id={trace} span_id={}", request.id)), "{line}");

    // By hand: an entry that nobody announced, and the script.
    let (traceparent, trace, span) = caller(2, "01");
    let entry = ["XADD", "sluice:{orders}:log", "*", "data", "x", "tp", &traceparent];
    let id = cluster.redis.cli(&entry).await.unwrap().trim().to_owned();
    assert_delivered(&collector.trace(&trace, &["deliver", "deliver"]).await, &span, &id, ["1", "2"]);
    let (traceparent, trace, span) = caller(3, "01");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../sluice-broker/scripts/publish.lua");
    let eval = ["--eval", script, "sluice:{orders}:log", ",", "x", "note", &traceparent];
    let answer = cluster.redis.cli(&eval).await.unwrap();
    let id = answer.lines().next().unwrap().trim_matches('"');
    assert_delivered(&collector.trace(&trace, &["deliver", "deliver"]).await, &span, id, ["1", "2"]);

    for stream in &mut streams {
        assert_eq!(stream.events(3).await.unwrap().len(), 3);
    }
    assert!(collector.authorization().iter().all(|value| value == SECRET));
    assert!(!collector.authorization().is_empty());
    for node in cluster.gateways.iter().chain([&cluster.publisher]) {
        assert!(!node.log().contains("hunter2"), "{}", node.log());
    }
    assert!(cluster.publisher.metric("sluice_trace_spans_total").await.unwrap().unwrap() >= 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_reaches_from_the_request_to_every_node_by_grpc() {
    one_trace("grpc", &Collector::grpc().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_reaches_from_the_request_to_every_node_by_http() {
    one_trace("http", &Collector::http().await).await;
}

/// What its caller does not record is carried on and never sent; what comes behind shows that it was looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_recorded_traces_are_sent() {
    let collector = Collector::grpc().await;
    let redis = RedisServer::start().await.unwrap();
    let quiet =
        |node| traced(node, "grpc", &collector.endpoint()).env("SLUICE_TELEMETRY__OTLP__SAMPLE_RATIO", "0");
    let (node, publisher) =
        tokio::join!(quiet(gateway(&redis.url())).spawn(), quiet(publisher(&redis.url())).spawn());
    let (node, publisher) = (node.unwrap(), publisher.unwrap());
    let mut stream = open(node.addr(), &["orders"], &SseOptions::default()).await;
    let (unrecorded, ..) = caller(1, "00");
    publish(&publisher, "orders", &unrecorded).await;
    publish(&publisher, "orders", "nonsense").await;
    let (recorded, trace, _) = caller(2, "01");
    publish(&publisher, "orders", &recorded).await;
    assert_eq!(stream.events(3).await.unwrap().len(), 3);
    collector.trace(&trace, &["publish", "redis publish", "deliver"]).await;
    let others: Vec<Seen> = collector.spans().into_iter().filter(|span| span.trace != trace).collect();
    assert!(others.is_empty(), "{others:?}");
    let log = redis.cli(&["XRANGE", "sluice:{orders}:log", "-", "+"]).await.unwrap();
    let carried: Vec<&str> = log.lines().filter(|line| line.contains("00-4bf92f")).collect();
    let of_flush = carried.iter().filter(|tp| tp.contains(&trace) && !tp.contains(&recorded)).count();
    assert_eq!((carried.len(), of_flush), (2, 1), "{log}");
    assert!(log.contains(&unrecorded), "{log}");
}

/// The events of one request share a `redis publish` span for each flush; each has a `deliver` span.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dev_node_traces_a_batch_and_the_stream_that_hears_it() {
    let collector = Collector::grpc().await;
    let node = traced(Node::builder(SLUICE, Role::Dev), "grpc", &collector.endpoint())
        .env("SLUICE_TELEMETRY__LOG_FORMAT", "json")
        .spawn()
        .await
        .unwrap();
    let (traceparent, trace, span) = caller(1, "01");
    let options =
        SseOptions { headers: vec![("traceparent".to_owned(), traceparent)], ..SseOptions::default() };
    let mut stream = open(node.addr(), &["a", "b"], &options).await;
    let opened = collector.trace(&trace, &["subscribe"]).await.remove(0);
    assert_eq!((opened.parent.as_str(), opened.says("sluice.topics")), (span.as_str(), "2"));
    assert_eq!((opened.says("sluice.outcome"), opened.service()), ("joined", "sluice-dev"));

    for result in publish_batch(node.publisher_addr(), &[("a", "1"), ("b", "2"), ("a", "3")]).await.unwrap() {
        result.unwrap();
    }
    assert_eq!(stream.events(3).await.unwrap().len(), 3);
    let begun = sluice_testkit::eventually("the request's span", SOON, async || {
        let found = collector.spans().into_iter().find(|span| span.name() == "publish");
        found.ok_or_else(|| anyhow::anyhow!("there is none"))
    });
    let begun = begun.await.unwrap();
    assert_eq!(begun.parent, "", "a trace of its own");
    assert_eq!((begun.says("url.path"), begun.says("messaging.batch.message_count")), ("/v1/events", "3"));
    let whole = sluice_testkit::eventually("three deliveries", SOON, async || {
        let spans: Vec<Seen> =
            collector.spans().into_iter().filter(|span| span.trace == begun.trace).collect();
        anyhow::ensure!(named(&spans, "deliver").len() == 3, "{spans:?}");
        Ok(spans)
    });
    let spans = whole.await.unwrap();
    let flushes: Vec<&str> = named(&spans, "redis publish").iter().map(|span| span.id.as_str()).collect();
    assert!((1..=3).contains(&flushes.len()), "{spans:?}");
    assert!(named(&spans, "deliver").iter().all(|span| flushes.contains(&span.parent.as_str())));
}

/// The last spans of a process have a second to wait for others, and do not get it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_is_sent_before_the_end() {
    for (protocol, collector) in [("grpc", Collector::grpc().await), ("http", Collector::http().await)] {
        let node = traced(Node::builder(SLUICE, Role::Dev), protocol, &collector.endpoint());
        let node = node.env("SLUICE_TELEMETRY__OTLP__TIMEOUT_MS", "20000");
        let mut node = node.spawn().await.unwrap();
        publish(&node, "a", &caller(1, "01").0).await;
        assert_eq!(node.terminate(SOON).await.unwrap(), 0);
        assert_eq!(named(&collector.spans(), "redis publish").len(), 1, "{protocol}");
    }
}

/// JSON lines carry the ids at their top.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_say_their_trace_whether_or_not_it_is_collected() {
    let node = Node::builder(SLUICE, Role::Dev)
        .env("SLUICE_TELEMETRY__LOG_FORMAT", "json")
        .env("SLUICE_TELEMETRY__LOG_LEVEL", "info,sluice_publisher=debug")
        .spawn()
        .await
        .unwrap();
    let (traceparent, trace, span) = caller(1, "01");
    publish(&node, "a", &traceparent).await;
    let log = node.log();
    let line = log.lines().find(|line| line.contains("\"published\"")).unwrap_or_else(|| panic!("{log}"));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["trace_id"], &line["span_id"]), (&trace.into(), &span.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_secret_is_masked_and_what_is_wrong_is_refused() {
    let config = |settings: &'static [&'static str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        Command::new(SLUICE).arg("config").args(settings).output()
    };
    let right = config(&[
        "telemetry.otlp.endpoint=http://collector:4317",
        "telemetry.otlp.headers=authorization=Bearer hunter2,x-tenant=hunter2",
        "telemetry.otlp.sample_ratio=0.25",
    ]);
    let said = String::from_utf8(right.await.unwrap().stdout).unwrap();
    assert!(said.contains("\"authorization\" = \"***\"") && said.contains("sample_ratio = 0.25"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");

    let wrong = config(&[
        "telemetry.otlp.endpoint=https://user:hunter2@collector",
        "telemetry.otlp.headers=Bearer hunter2",
        "telemetry.otlp.sample_ratio=2",
        "telemetry.otlp.protocol=carrier pigeon",
    ]);
    let wrong = wrong.await.unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(64), "{said}");
    assert!(said.contains("4 errors") && !said.contains("hunter2"), "{said}");
}
