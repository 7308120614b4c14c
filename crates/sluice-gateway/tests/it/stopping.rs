//! Streams that the node ends: their last chunk arrives, whatever the client did meanwhile.

use std::time::Duration;

use sluice_testkit::RawConnection;
use tokio_util::sync::CancellationToken;

use crate::stage::{SOON, Stage, answer, dechunked, fields, get_history, get_stream, head};

/// Bytes that lie unread when a socket is closed turn its end into a reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_sent_meanwhile_does_not_reset_the_end() {
    let stage = Stage::start().await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut connection = stage.stream("a").await;
        connection.send(vec![b'x'; 100_000]).await.unwrap();
        connections.push(connection);
    }
    stage.publish("a", "one").await;
    stage.reach("the event's delivery", |status| status.shards.figures.deliveries == 5).await;
    stage.drain().await;
    for connection in &mut connections {
        // More of it behind the end.
        connection.send(vec![b'y'; 10_000]).await.unwrap();
        let rest = connection.read_to_end().await.expect("a clean end");
        let text = dechunked(&rest);
        assert!(text.contains("data: one\n\n") && text.contains("retry: "), "{text}");
    }
    drop(connections);
    stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_on_hyper_end_as_well() {
    let stage = Stage::start().await;
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    let request = get_stream("a");
    let request = request.strip_suffix("\r\n").unwrap();
    connection.send(format!("{request}content-length: 1\r\n\r\nx")).await.unwrap();
    let head = head(&mut connection).await;
    assert_eq!(fields(&head, "content-length").len(), 0, "{head}");
    stage.reach("the stream", |status| status.streams == 1).await;
    stage.drain().await;
    stage.stop.cancel();
    let text = dechunked(&connection.read_to_end().await.unwrap());
    assert!(text.trim_end().rsplit("\n\n").next().unwrap().starts_with("retry: "), "{text}");
}

/// A client that was let in when the drain began is not forgotten by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_under_way_when_the_drain_begins() {
    for round in 0..10 {
        let stage = Stage::start().await;
        let mut connections = Vec::new();
        for _ in 0..40 {
            let mut connection = RawConnection::connect(stage.address).await.unwrap();
            // Known to be accepted: what waits in the kernel's queue is reset with the listener.
            connection.send(get_history("a")).await.unwrap();
            answer(&mut connection).await;
            connections.push(connection);
        }
        for (number, connection) in connections.iter_mut().enumerate() {
            // Topics of their own, so that each has to be followed first.
            connection.send(get_stream(&format!("a/{number}"))).await.unwrap();
        }
        // Some are admitted by now, some are not.
        let looks = if round % 2 == 0 { 1 } else { 20 };
        stage.reach("the first streams", |status| status.streams >= looks).await;
        stage.gateway.drain(Duration::ZERO, &CancellationToken::new()).await;
        stage.reach("the end of every stream", |status| status.streams == 0).await;
        stage.stop.cancel();
        for connection in &mut connections {
            let rest = connection.read_to_end().await.expect("a clean end");
            let text = String::from_utf8(rest).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
                assert!(body.ends_with("0\r\n\r\n") || head.contains("content-length"), "{text}");
            }
        }
        stage.tracker.close();
        tokio::time::timeout(SOON, stage.tracker.wait()).await.expect("every task ends");
    }
}
