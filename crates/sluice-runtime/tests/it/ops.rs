//! The operations listener over a real socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::ops::{CheckState, OpsState};
use sluice_runtime::telemetry::{Telemetry, metric};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

struct Node {
    addr: std::net::SocketAddr,
    life: Lifecycle,
    redis: Arc<AtomicBool>,
    stop: CancellationToken,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn node() -> Node {
    let life = Lifecycle::new();
    let redis = Arc::new(AtomicBool::new(false));
    let telemetry = Telemetry::detached().unwrap();
    telemetry.on_scrape(Box::new(|| metric::STREAMS_OPEN.gauge(&[]).set(3.0)));
    let reached = Arc::clone(&redis);
    let state = OpsState::new(life.clone(), telemetry)
        .check("redis", move || match reached.load(Ordering::SeqCst) {
            true => CheckState::Ok,
            false => CheckState::Failing("not reached yet".to_owned()),
        })
        .node(|| json!({"streams": 3}));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    life.tracker.spawn(state.serve(listener, stop.clone()));
    Node { addr, life, redis, stop }
}

impl Node {
    async fn request(&self, method: &str, path: &str) -> Answer {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).await
    }
}

#[tokio::test]
async fn a_node_is_ready_when_it_is_built_and_every_check_holds_until_it_drains() {
    let node = node().await;
    let starting = node.get("/readyz").await;
    assert_eq!((starting.status, node.get("/startupz").await.status), (503, 503));
    let failing = json!({"redis": {"state": "failing", "why": "not reached yet"}});
    assert_eq!(starting.json(), json!({"ready": false, "phase": "starting", "checks": failing}));

    node.redis.store(true, Ordering::SeqCst);
    assert_eq!(node.get("/readyz").await.status, 503, "no check replaces the phase");
    node.life.set_ready();
    let ready = node.get("/readyz").await;
    let checks = json!({"redis": {"state": "ok"}});
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"ready": true, "phase": "ready", "checks": checks}))
    );
    assert_eq!(node.get("/startupz").await.status, 200);

    node.redis.store(false, Ordering::SeqCst);
    assert_eq!(node.get("/readyz").await.status, 503, "the phase replaces no check");
    node.redis.store(true, Ordering::SeqCst);
    node.life.soft.cancel();
    let draining = node.get("/readyz").await;
    assert_eq!((draining.status, draining.json()["phase"].as_str()), (503, Some("draining")));
    assert_eq!(node.get("/startupz").await.status, 200);
    assert_eq!(node.get("/livez").await.status, 200);
}

#[tokio::test]
async fn every_route_says_what_it_serves() {
    let node = node().await;
    let metrics = node.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("sluice_streams_open 3\n"), "{}", metrics.body);
    let live = node.get("/livez").await;
    assert_eq!((live.status, live.json()), (200, json!({"state": "ok"})));
    assert!(live.head.contains("cache-control: no-store"));
    assert_eq!(node.get("/v1/node").await.json(), json!({"streams": 3}));
    assert_eq!(node.request("HEAD", "/livez").await.status, 200);
}

#[tokio::test]
async fn refusals_are_problems() {
    let node = node().await;
    let missing = node.get("/nothing").await;
    assert_eq!((missing.status, missing.json()["status"].as_u64()), (404, Some(404)));
    assert!(missing.head.contains("content-type: application/problem+json"), "{}", missing.head);
    assert!(missing.json()["detail"].as_str().unwrap().contains("/readyz"));
    let refused = node.request("POST", "/metrics").await;
    assert_eq!((refused.status, refused.json()["status"].as_u64()), (405, Some(405)));
    assert!(refused.head.contains("allow: get"), "{}", refused.head);
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_a_connection_that_says_nothing() {
    let node = node().await;
    let mut silent = TcpStream::connect(node.addr).await.unwrap();
    silent.write_all(b"GET /livez HTT").await.unwrap();
    node.stop.cancel();
    assert!(node.life.wait_idle(PATIENCE).await);
    assert!(TcpStream::connect(node.addr).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_a_page_could_have_registered_is_refused() {
    let node = node().await;
    for (host, status) in [("evil.example", "421"), ("sluice.default.svc:8082", "200"), ("127.0.0.1", "200")]
    {
        let mut socket = TcpStream::connect(node.addr).await.unwrap();
        let request = format!("GET /livez HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {text}");
    }
}

/// Half of a request each: the ones that rest longest make room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_make_room() {
    let node = node().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        let mut socket = TcpStream::connect(node.addr).await.unwrap();
        let _ = socket.write_all(b"GET /livez HTTP/1.1\r\nhost: ops\r\n").await;
        silent.push(socket);
    }
    assert_eq!(node.get("/livez").await.status, 200);
    let ended = async {
        for socket in &mut silent[..200] {
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the first of them are cut off");
}
