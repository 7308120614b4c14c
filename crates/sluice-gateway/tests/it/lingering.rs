//! Answers that come before a request's body was read: they arrive, however much of the body is still to be sent, and
//! what that costs has bounds.

use std::future::poll_fn;

use sluice_testkit::{RawConnection, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::stage::{SOON, Stage};

const BODY_BYTES: usize = 4 << 20;

async fn answer_head(connection: &mut RawConnection) -> String {
    let head = connection.read_until("\r\n\r\n").await.unwrap();
    String::from_utf8(head).unwrap()
}

/// The client sends all of its request before it reads anything, as simple ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_arrives_and_the_connection_goes_on() {
    let stage = Stage::start().await;
    for (path, status) in [("/nothing", "404"), ("/v1/events", "405"), ("/address", "405")] {
        let body = vec![b'x'; BODY_BYTES];
        let sized = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{BODY_BYTES:x}\r\n"
        );
        for (head, end) in [(sized, ""), (chunked, "\r\n0\r\n\r\n")] {
            let mut connection = RawConnection::connect(stage.address).await.unwrap();
            connection.send([head.as_bytes(), &body, end.as_bytes()].concat()).await.unwrap();
            let answer = answer_head(&mut connection).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
            let next = "GET /address HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            connection.send(next).await.unwrap();
            let rest = connection.read_to_end().await.unwrap();
            let rest = String::from_utf8_lossy(&rest);
            assert!(rest.contains("HTTP/1.1 200 ") && rest.ends_with("127.0.0.1"), "{path}: {rest}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_end_is_cut_off() {
    let stage = Stage::start().await;
    let mut connection = TcpStream::connect(stage.address).await.unwrap();
    let head = format!("POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40);
    connection.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut pieces = 0;
    while connection.write_all(&piece).await.is_ok() {
        pieces += 1;
        assert!(pieces < 64, "8 MiB are discarded, and the sockets hold some");
    }
    assert!(pieces >= 8, "{pieces} MiB");
}

/// Who waits for leave to send has sent nothing: there is nothing to discard, and no leave is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_100_continue_gets_the_answer_instead() {
    let stage = Stage::start().await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    let head = "POST /nothing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    connection.send(head).await.unwrap();
    let answer = connection.read_to_end().await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(!answer.contains("100 Continue"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_bodies_are_discarded_at_once() {
    const PLACES: usize = 256;
    const MORE: usize = 20;
    let stage = Stage::start().await;
    let mut connections = Vec::new();
    for _ in 0..PLACES + MORE {
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        let head = "POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx";
        connection.send(head).await.unwrap();
        assert!(answer_head(&mut connection).await.starts_with("HTTP/1.1 404 "));
        connections.push(connection);
    }
    let mut open = connections;
    eventually("those beyond the places to be cut off", SOON, async || {
        open.retain_mut(|connection| {
            let mut bytes = [0; 4_096];
            loop {
                match connection.stream().try_read(&mut bytes) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
        anyhow::ensure!(open.len() <= PLACES, "{} are open", open.len());
        Ok(())
    })
    .await
    .unwrap();
}

/// The answer is whole, then the stream is reset without an error, and the connection goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_the_stream_is_reset_without_an_error() {
    let listening = sluice_gateway::ListenerSettings { h2c: true, ..Default::default() };
    let stage = Stage::listening(listening).await;
    let socket = TcpStream::connect(stage.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    stage.tracker.spawn(async move {
        let _ = connection.await;
    });
    for _ in 0..3 {
        client = client.ready().await.unwrap();
        let uri = format!("http://{}/nothing", stage.address);
        let request = http::Request::post(uri).body(()).unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        // The reset may be there before it.
        let _ = body.send_data(vec![b'x'; 10_000].into(), false);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 404);
        let mut text = answer.into_body();
        while let Some(part) = text.data().await {
            let part = part.unwrap();
            text.flow_control().release_capacity(part.len()).unwrap();
        }
        let reset = poll_fn(|context| body.poll_reset(context)).await.unwrap();
        assert_eq!(reset, h2::Reason::NO_ERROR);
    }
}
