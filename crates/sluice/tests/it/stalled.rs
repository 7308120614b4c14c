//! Streams that take nothing for too long are counted as that, whatever carries them, and leave nothing behind.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use hyper::http::Request;
use sluice_testkit::{Node, RawConnection, eventually, publish_batch};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::stage::{Cluster, SOON};

const STREAMS: usize = 20;

/// A connection of HTTP/2 that never opens a window.
async fn closed_windows(node: &Node) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(node.addr()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (requests, connection) = builder.initial_window_size(0).handshake(socket).await.unwrap();
    TaskTracker::new().spawn(connection);
    requests.ready().await.unwrap()
}

async fn open(requests: &mut SendRequest<Bytes>) -> RecvStream {
    let request = Request::get("http://localhost/v1/events?topic=big").body(()).unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    let answer = tokio::time::timeout(SOON, answer).await.expect("an answer").unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// A stream over HTTP/1.1 that reads its beginning and no more. With a body, hyper keeps it.
async fn open_http_1(node: &Node, body: &str) -> RawConnection {
    let mut connection = RawConnection::connect_narrow(node.addr(), 4_096).await.unwrap();
    let length = body.len();
    let head = format!("GET /v1/events?topic=big HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    connection.send(head + body).await.unwrap();
    connection.read_until("\nid: ").await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_nothing_is_counted_and_forgotten() {
    let cluster = Cluster::start_with(|node| {
        node.env("SLUICE_LISTEN__H2C", "true").env("SLUICE_STREAMS__WRITE_STALL_MS", "1000")
    })
    .await;
    let node = &cluster.gateways[0];
    let mut requests = closed_windows(node).await;
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        bodies.push(open(&mut requests).await);
    }
    let _connections = [open_http_1(node, "").await, open_http_1(node, "x").await];
    let filler = "x".repeat(30_000);
    let lines = vec![("big", filler.as_str()); 100];
    for _ in 0..4 {
        publish_batch(cluster.publisher.publisher_addr(), &lines).await.unwrap();
    }
    eventually("all of them to be ended", SOON, async || {
        let open = node.metric("sluice_streams_open").await?;
        anyhow::ensure!(open == Some(0.0), "{open:?} are open");
        Ok(())
    })
    .await
    .unwrap();
    let stalled = node.metric("sluice_streams_closed_total{reason=\"stalled\"}").await.unwrap();
    let closed = node.metric("sluice_streams_closed_total").await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let all = Some((STREAMS + 2) as f64);
    assert_eq!((stalled, closed), (all, all));
    drop(bodies);
}
