//! Panics in a real process: one in the work of a caller costs that work, any other ends the process in good order.
//! The build under test panics on demand (`sluice_failure::drill`); no other build can.

use std::path::Path;

use sluice_testkit::{
    Node, RawConnection, RedisServer, Role, SseOptions, eventually, get, publish_http, request,
};

use crate::stage::{SOON, open};
use crate::upgrading::next_build;

/// A node that panics where it is told to.
struct Drilled {
    node: Node,
    orders: tempfile::TempDir,
    _redis: RedisServer,
}

impl Drilled {
    async fn start() -> Option<Self> {
        let build = next_build()?;
        let redis = RedisServer::start().await.unwrap();
        let orders = tempfile::tempdir().unwrap();
        let file = orders.path().join("order");
        let node = Node::builder(build, Role::Dev)
            .redis(&redis.url())
            .env("DRILL_FILE", file.to_str().unwrap())
            .spawn()
            .await
            .unwrap();
        Some(Self { node, orders, _redis: redis })
    }

    /// Orders a panic at `place`, which the next thread that comes by there has.
    fn order(&self, place: &str) {
        let file = self.orders.path().join("order");
        let new = file.with_extension("new");
        std::fs::write(&new, place).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn is_carried_out(&self) -> bool {
        let taken: &Path = &self.orders.path().join("order.taken");
        std::fs::remove_file(taken).is_ok()
    }

    async fn panics(&self, place: &str) -> f64 {
        let series = format!("sluice_panics_total{{place=\"{place}\"}} ");
        let page = get(self.node.ops_addr(), "/metrics").await.unwrap().text();
        let line = page.lines().find_map(|line| line.strip_prefix(series.as_str()));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_work_of_a_caller_costs_that_work_alone() {
    let Some(drilled) = Drilled::start().await else { return };
    let address = drilled.node.addr();
    let mut bystander = open(address, &["a"], &SseOptions::default()).await;
    assert_eq!(drilled.panics("request").await, 0.0, "counters are there before the first panic");

    // Before the head was sent.
    for (place, method, path, body, says) in [
        ("request", "GET", "/v1/events?topic=a", "", "may work on another node"),
        ("beginning", "GET", "/v1/events?topic=a", "", "may work on another node"),
        ("request", "POST", "/v1/topics/a/events", "x", "whether events were published is unknown"),
    ] {
        drilled.order(place);
        let headers = [("content-type", "text/plain")];
        let answer = request(address, method, path, &headers, body).await.unwrap();
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json().unwrap();
        assert_eq!(problem["type"], "https://sluice.dev/problems/internal-error");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
        assert!(drilled.is_carried_out());
    }
    assert_eq!(drilled.panics("request").await, 3.0);

    // After it: the stream that is being opened, the body of a page, the connection.
    for (place, path, label) in [
        ("stream", "/v1/events?topic=a", "stream"),
        ("body", "/v1/topics/a/events", "stream"),
        ("connection", "/v1/topics/a/events", "connection"),
    ] {
        let before = drilled.panics(label).await;
        drilled.order(place);
        let mut raw = RawConnection::connect(address).await.unwrap();
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await.unwrap();
        // It ends, with a reset or not, and not as if it were whole.
        let rest = raw.read_to_end().await.unwrap_or_default();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
        assert!(drilled.is_carried_out(), "{place}");
        assert_eq!(drilled.panics(label).await, before + 1.0, "{place}");
    }

    publish_http(address, "a", "still here").await.unwrap();
    assert_eq!(bystander.event().await.unwrap().data, "still here");
    assert_eq!(drilled.panics("process").await, 0.0);
    get(drilled.node.ops_addr(), "/readyz").await.unwrap().expect_status(200).unwrap();
    let log = drilled.node.log();
    assert!(log.contains("panicked; only this work was ended") && log.contains("drill.rs:"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_panic_ends_the_process_in_good_order() {
    for place in ["shard", "follower", "subscriber", "publisher"] {
        let Some(mut drilled) = Drilled::start().await else { return };
        let address = drilled.node.addr();
        let mut stream = open(address, &["a"], &SseOptions::default()).await;
        drilled.order(place);
        if place == "publisher" {
            let answer = publish_http(address, "a", "x").await;
            assert!(answer.is_err(), "the lane that had it is gone: {answer:?}");
        }
        assert_eq!(drilled.node.exit(SOON).await.unwrap(), 70, "{place}: {}", drilled.node.log());
        assert!(drilled.is_carried_out(), "{place}");
        // Told to come back, or cut off with its shard: gone either way.
        let _ = stream.end().await;
        let log = drilled.node.log();
        assert!(log.contains("panicked") && log.contains("shutting down"), "{place}: {log}");
    }
}

/// A collector of logs that is gone must not take the node along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_ends_nothing() {
    use std::process::{Command, Stdio};
    let redis = RedisServer::start().await.unwrap();
    let (listen, ops) = (sluice_testkit::free_address().unwrap(), sluice_testkit::free_address().unwrap());
    let mut command = Command::new(crate::stage::SLUICE);
    command
        .arg("gateway")
        .env("SLUICE_REDIS__URL", redis.url())
        .env("SLUICE_LISTEN__ADDR", listen.to_string())
        .env("SLUICE_OPS__ADDR", ops.to_string())
        .env("SLUICE_TELEMETRY__LOG_LEVEL", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut node = command.spawn().unwrap();
    drop(node.stderr.take());
    let ready = eventually("the node to be ready", SOON, async || {
        anyhow::ensure!(node.try_wait()?.is_none(), "it ended");
        get(ops, "/readyz").await?.expect_status(200)
    });
    let ready = ready.await;
    let panics = get(ops, "/metrics").await.map(|page| page.text());
    node.kill().unwrap();
    node.wait().unwrap();
    ready.unwrap();
    let panics = panics.unwrap();
    assert!(panics.contains("sluice_panics_total{place=\"process\"} 0"), "{panics}");
}
