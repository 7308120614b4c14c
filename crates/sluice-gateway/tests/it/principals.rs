//! Whose streams are whose: they are found, ended and limited, wherever on the node they stand.

use sluice_gateway::Sentence;
use sluice_testkit::RawConnection;
use sluice_wire::sse::Frame;

use crate::stage::{Stage, dechunked, event, get_stream, get_stream_as, greeting, head};

async fn open(stage: &Stage, request: String) -> RawConnection {
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(request).await.unwrap();
    greeting(&mut connection).await;
    connection
}

/// A GET with a body stays on hyper.
fn on_hyper(request: &str) -> String {
    format!("{}content-length: 1\r\n\r\nx", request.strip_suffix("\r\n").unwrap())
}

fn revoked() -> Sentence {
    Sentence::new("revoked", |retry| Frame::control("sluice.revoked", "{}", Some(retry)))
}

fn is_told(text: &str) -> bool {
    text.contains("event: sluice.revoked\n") && text.contains("retry: ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_one_subject_end_and_no_other() {
    let stage = Stage::start().await;
    let (mut meant, mut spared) = (Vec::new(), Vec::new());
    for number in 0..10 {
        let topic = if number % 2 == 0 { "a" } else { "b" };
        let request = get_stream_as("mallory", topic);
        meant.push(open(&stage, if number < 7 { request } else { on_hyper(&request) }).await);
        let request = get_stream_as("alice", topic);
        spared.push((open(&stage, if number < 7 { request } else { on_hyper(&request) }).await, topic));
    }
    let mut nobody = open(&stage, get_stream("a")).await;
    stage
        .reach("all streams in their rings", |status| status.streams == 21 && status.shards.streams == 15)
        .await;
    assert_eq!(stage.gateway.end_streams(|who| who.names.subject == Some("mallory"), &revoked()), 10);
    for connection in &mut meant {
        let text = dechunked_end(connection).await;
        assert!(is_told(&text), "{text}");
    }
    stage.reach("the others left alone", |status| status.streams == 11).await;
    stage.publish("a", "still").await;
    stage.publish("b", "still").await;
    event(&mut nobody, "still").await;
    for (connection, _) in &mut spared {
        event(connection, "still").await;
    }
    assert_eq!(stage.gateway.end_streams(|who| who.names.subject == Some("mallory"), &revoked()), 0);
    let again = open(&stage, get_stream_as("mallory", "a")).await;
    stage.reach("a new stream of the same subject", |status| status.streams == 12).await;
    assert_eq!(stage.gateway.end_streams(|who| who.names.token_id == Some("mallory-1"), &revoked()), 1);
    drop((again, spared, nobody, meant));
    stage.empty().await;
}

/// The rest of a chunked answer. What hyper drives keeps its connection.
async fn dechunked_end(connection: &mut RawConnection) -> String {
    dechunked(&connection.read_until("\r\n0\r\n\r\n").await.expect("a clean end"))
}

/// A stream that is still on its way to its ring is ended as well: none of it may slip through behind the sweep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_on_their_way_end_too() {
    for round in 0..8_usize {
        let stage = Stage::start().await;
        for number in 0..200 {
            stage.publish("a", &format!("{number}")).await;
        }
        let mut connections = Vec::new();
        for number in 0..20 {
            let mut connection = RawConnection::connect(stage.address).await.unwrap();
            let request = get_stream_as("mallory", "a&since=earliest");
            connection.send(if number % 4 == 3 { on_hyper(&request) } else { request }).await.unwrap();
            connections.push(connection);
        }
        // The streams are anywhere between their admission and their slots.
        stage.reach("some streams", |status| status.streams >= 2 * round).await;
        let mut ended = stage.gateway.end_streams(|who| who.names.subject == Some("mallory"), &revoked());
        // Those that were admitted since are not meant, and are ended by another sentence.
        while ended < 20 {
            ended += stage.gateway.end_streams(|who| who.names.subject == Some("mallory"), &revoked());
            tokio::task::yield_now().await;
        }
        assert_eq!(ended, 20);
        for connection in &mut connections {
            head(connection).await;
            let text = dechunked_end(connection).await;
            assert!(is_told(&text), "{text}");
        }
        stage.empty().await;
    }
}
