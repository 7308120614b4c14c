//! `sluice doctor` and `sluice health` against real servers, well and badly set up.

mod balancer;
mod files;
mod gateways_down;
mod rights;
mod topologies;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use sluice_testkit::{Certificates, Node, RedisServer, Role, eventually};
use tokio::process::Command;
use tokio::time::timeout;

use crate::stage::{SLUICE, SOON, gateway};
use balancer::Nginx;

/// Runs a verb to its end, with nothing of this process's own configuration.
async fn run(args: &[&str]) -> Output {
    run_trusting(args, None).await
}

/// The same, trusting an authority of the test's own.
async fn run_trusting(args: &[&str], authority: Option<&Path>) -> Output {
    let mut command = Command::new(SLUICE);
    command.args(args).envs(authority.map(|file| ("SSL_CERT_FILE", file))).kill_on_drop(true);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SLUICE_")) {
        command.env_remove(name);
    }
    timeout(SOON * 2, command.output()).await.expect("an end").unwrap()
}

/// What `sluice doctor --json` found, and its exit code.
struct Visit {
    findings: Vec<Value>,
    code: i32,
    printed: String,
}

impl Visit {
    async fn pay(args: &[&str]) -> Self {
        Self::told(run(&[&["doctor", "--json"], args].concat()).await)
    }

    fn told(output: Output) -> Self {
        let printed = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let json: Value =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{said}"));
        let findings = json["findings"].as_array().unwrap().clone();
        Self { findings, code: output.status.code().unwrap(), printed }
    }

    async fn of_redis(url: &str, more: &[&str]) -> Self {
        Self::pay(&[&["--set", &format!("redis.url={url}")], more].concat()).await
    }

    async fn through(url: &str, more: &[&str]) -> Self {
        let redis = ["--set", "redis.url=memory://", "--set", "streams.heartbeat_ms=500", "--url", url];
        Self::pay(&[&redis, more].concat()).await
    }

    fn level(&self, id: &str) -> &str {
        let found = self.findings.iter().find(|finding| finding["id"] == id);
        found.unwrap_or_else(|| panic!("{id} is missing in {}", self.printed))["level"].as_str().unwrap()
    }

    fn seen(&self, id: &str) -> String {
        let found = self.findings.iter().find(|finding| finding["id"] == id);
        found.unwrap_or_else(|| panic!("{id} is missing in {}", self.printed))["seen"].to_string()
    }

    /// Warnings and errors of an area.
    fn complaints(&self, area: &str) -> Vec<&Value> {
        let bad = |finding: &&Value| finding["level"] == "warning" || finding["level"] == "error";
        let of = |finding: &&Value| finding["id"].as_str().is_some_and(|id| id.starts_with(area));
        self.findings.iter().filter(of).filter(bad).collect()
    }
}

fn url(address: std::net::SocketAddr) -> String {
    format!("http://{address}")
}

async fn dev() -> Node {
    Node::builder(SLUICE, Role::Dev).env("SLUICE_STREAMS__HEARTBEAT_MS", "500").spawn().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_well_set_up_earns_no_complaint() {
    let redis = RedisServer::builder().appendonly(true).arg("maxmemory", "256mb").start().await.unwrap();
    let visit = Visit::of_redis(&redis.url(), &["dev"]).await;
    assert_eq!(visit.complaints("redis."), Vec::<&Value>::new(), "{}", visit.printed);
    assert_eq!(visit.level("redis.permissions"), "ok");
    // A machine that is busy makes a note of it.
    assert!(["ok", "note"].contains(&visit.level("redis.subscription")), "{}", visit.printed);
    assert_eq!(redis.cli(&["dbsize"]).await.unwrap().trim(), "0", "it left something behind");
    assert!(visit.level("machine.descriptors") != "error", "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_would_lose_events_is_told() {
    let redis = RedisServer::builder()
        .arg("maxmemory-policy", "allkeys-lru")
        .arg("client-output-buffer-limit", "pubsub 64kb 0 0")
        .password("hunter2")
        .start()
        .await
        .unwrap();
    let visit = Visit::of_redis(&redis.url(), &[]).await;
    assert_eq!(visit.code, 1);
    assert_eq!((visit.level("redis.eviction"), visit.level("redis.output-buffer")), ("error", "error"));
    assert_eq!(visit.level("redis.persistence"), "warning");
    assert!(!visit.printed.contains("hunter2"), "{}", visit.printed);
    redis.cli(&["config", "set", "maxmemory-policy", "noeviction"]).await.unwrap();
    redis.cli(&["config", "set", "client-output-buffer-limit", "pubsub 32mb 8mb 60"]).await.unwrap();
    let bearable = Visit::of_redis(&redis.url(), &[]).await;
    let strict = Visit::of_redis(&redis.url(), &["--strict"]).await;
    assert_eq!(bearable.level("redis.persistence"), "warning");
    assert_eq!((bearable.code, strict.code), (0, 1), "{}", bearable.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_without_obstacles_earns_no_complaint() {
    let node = dev().await;
    let visit = Visit::through(&url(node.addr()), &["--idle-seconds", "3"]).await;
    assert_eq!((visit.complaints("public."), visit.code), (Vec::new(), 0), "{}", visit.printed);
    let clean = Nginx::start(node.addr(), "proxy_http_version 1.1; proxy_set_header Connection '';").await;
    let Some(clean) = clean else { return };
    let visit = Visit::through(&clean.url(), &["--idle-seconds", "3"]).await;
    assert_eq!((visit.complaints("public."), visit.code), (Vec::new(), 0), "{}", visit.printed);
    assert!(visit.seen("public.idle-timeout").contains("heartbeats"), "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_holds_streams_back_is_found_out() {
    let node = dev().await;
    let Some(proxy) = Nginx::start(node.addr(), "proxy_ignore_headers X-Accel-Buffering;").await else {
        return;
    };
    let visit = Visit::through(&proxy.url(), &["--idle-seconds", "0"]).await;
    assert_eq!((visit.level("public.buffering"), visit.code), ("error", 1), "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_compresses_is_found_out() {
    let node = dev().await;
    let gzip = "gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 0;";
    let Some(proxy) = Nginx::start(node.addr(), gzip).await else { return };
    let visit = Visit::through(&proxy.url(), &["--idle-seconds", "0"]).await;
    assert_eq!(visit.level("public.compression"), "warning", "{}", visit.printed);
    assert_eq!(visit.code, 0, "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_swallows_headers_and_cuts_idle_streams_is_found_out() {
    let node = Node::builder(SLUICE, Role::Dev).spawn().await.unwrap();
    let rules = "proxy_set_header Last-Event-ID ''; proxy_hide_header Cache-Control; proxy_read_timeout 2s;";
    let Some(proxy) = Nginx::start(node.addr(), rules).await else { return };
    let visit = Visit::through(&proxy.url(), &["--idle-seconds", "10"]).await;
    assert_eq!(visit.code, 1);
    assert_eq!(visit.level("public.last-event-id"), "error", "{}", visit.printed);
    assert_eq!(visit.level("public.cache-control"), "warning", "{}", visit.printed);
    assert_eq!(visit.level("public.idle-timeout"), "error", "{}", visit.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_by_tls_is_looked_at_too() {
    let node = dev().await;
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path()).unwrap();
    for (more, level) in [("http2", "ok"), ("", "note")] {
        let Some(proxy) = Nginx::tls(node.addr(), more, &certificates).await else { return };
        let url = proxy.url().replace("http://", "https://");
        let args = ["doctor", "--json", "--set", "redis.url=memory://", "--idle-seconds", "1", "--url", &url];
        let visit = Visit::told(run_trusting(&args, Some(&certificates.ca_file())).await);
        assert_eq!((visit.complaints("public."), visit.code), (Vec::new(), 0), "{}", visit.printed);
        assert_eq!(visit.level("public.protocol"), level, "{}", visit.printed);
        assert!(visit.seen("public.framing").contains("nginx"), "{}", visit.printed);
        let trusted = Some(certificates.ca_file());
        let publish = ["publish", "by-tls", "hello", "--url", &url];
        let tail = ["tail", "by-tls", "--since", "earliest", "--count", "1", "--url", &url];
        for args in [&publish[..], &tail[..]] {
            let output = run_trusting(args, trusted.as_deref()).await;
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
        let stranger = Visit::pay(&args[2..]).await;
        assert_eq!((stranger.level("public.address"), stranger.code), ("error", 1), "{}", stranger.printed);
        assert!(stranger.printed.contains("SSL_CERT_FILE"), "{}", stranger.printed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_looked_at_is_said() {
    let visit = Visit::through("http://127.0.0.1:1", &[]).await;
    assert_eq!((visit.level("public.address"), visit.code), ("error", 1), "{}", visit.printed);
    let closed = Node::builder(SLUICE, Role::Dev).env("SLUICE_AUTH__ANONYMOUS__SUBSCRIBE", "[]");
    let closed = closed.spawn().await.unwrap();
    let visit = Visit::through(&url(closed.addr()), &[]).await;
    assert!(visit.seen("public.address").contains("401"), "{}", visit.printed);
    let wrong = run(&["doctor", "--set", "redis.url=memory://", "--url", "nonsense"]).await;
    assert_eq!(wrong.status.code(), Some(64));
    let wrong = run(&["doctor", "--set", "redis.url=nonsense"]).await;
    assert_eq!(wrong.status.code(), Some(64));
    let text = run(&["doctor", "--set", "redis.url=redis://127.0.0.1:1"]).await;
    let printed = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.status.code(), Some(1), "{printed}");
    assert!(printed.contains("\n  error    address") && printed.contains("1 error\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_is_its_own_health_check() {
    let redis = RedisServer::start().await.unwrap();
    let mut node = gateway(&redis.url()).spawn().await.unwrap();
    let ops = format!("ops.addr=0.0.0.0:{}", node.ops_addr().port());
    let (alive, ready) = (["health", "--set", &ops], ["health", "--ready", "--set", &ops]);
    for asked in [&alive[..], &ready] {
        let output = run(asked).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "{output:?}");
    }
    node.kill().unwrap();
    let dead = eventually("the end of the listener", SOON, async || {
        let output = run(&alive).await;
        if output.status.code() == Some(1) { Ok(output) } else { anyhow::bail!("{output:?}") }
    });
    assert!(String::from_utf8(dead.await.unwrap().stdout).unwrap().contains("cannot be reached"));
}
