//! Connections that never become streams: they are bounded, and those that are something are served on.

use std::time::Duration;

use sluice_gateway::ListenerSettings;
use sluice_testkit::RawConnection;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use crate::secure::{Secure, ask, read_until};
use crate::stage::{SOON, Stage, answer, event, get_history, get_stream, greeting};

const PLACES: usize = 20;
const SILENT: usize = 60;

/// Waits until the listener has ended `least` of these silent connections. Returns how many it has ended by then.
async fn ended(silent: Vec<RawConnection>, least: usize) -> usize {
    let mut reads = JoinSet::new();
    for mut connection in silent {
        reads.spawn(async move { connection.stream().read_u8().await.is_ok() });
    }
    let mut ended = 0;
    while ended < least {
        let end = tokio::time::timeout(SOON, reads.join_next()).await;
        let end = end.unwrap_or_else(|_| panic!("{ended} of {least} silent connections were ended"));
        assert!(!end.expect("a connection").unwrap(), "a silent connection was sent something");
        ended += 1;
    }
    while reads.try_join_next().is_some() {
        ended += 1;
    }
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_make_room_and_streams_do_not() {
    let listener = ListenerSettings { connections_max: PLACES, ..Default::default() };
    let stage = Stage::listening(ListenerSettings { header_read_timeout: SOON * 9, ..listener }).await;
    let mut streams = Vec::new();
    for _ in 0..2 * PLACES {
        streams.push(stage.stream("a").await);
    }
    // One that rests between two requests; it has rested longest.
    let mut resting = RawConnection::connect(stage.address).await.unwrap();
    resting.send(get_history("a")).await.unwrap();
    answer(&mut resting).await;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(RawConnection::connect(stage.address).await.unwrap());
    }
    // Behind all of them in the queue.
    let mut late = RawConnection::connect(stage.address).await.unwrap();
    late.send(get_stream("a")).await.unwrap();
    greeting(&mut late).await;
    let ended = ended(silent, SILENT - PLACES).await;
    assert!(ended < SILENT, "all made room, although there was some");
    assert!(resting.read_to_end().await.unwrap_or_default().is_empty());
    stage.publish("a", "one").await;
    for stream in streams.iter_mut().chain([&mut late]) {
        event(stream, "one").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_tls_handshake_holds_no_place_for_long() {
    let secure = Secure::start_with(false, |listener| {
        listener.connections_max = PLACES;
        listener.handshake_timeout = SOON * 9;
    })
    .await;
    let mut stream = secure.connect(&["http/1.1"]).await.unwrap();
    ask(&mut stream, "a").await;
    read_until(&mut stream, "\nid: ").await;
    let mut silent = Vec::new();
    for number in 0..SILENT {
        let mut connection = RawConnection::connect(secure.stage.address).await.unwrap();
        if number % 2 == 0 {
            connection.send(b"\x16\x03\x01\x02").await.unwrap();
        }
        silent.push(connection);
    }
    let mut late = secure.connect(&["http/1.1"]).await.unwrap();
    ask(&mut late, "a").await;
    read_until(&mut late, "\nid: ").await;
    ended(silent, SILENT - PLACES).await;
    secure.stage.publish("a", "one").await;
    read_until(&mut stream, "data: one\n\n").await;
    read_until(&mut late, "data: one\n\n").await;
}

/// Whoever asks for much and reads nothing is given up, by TLS too, where hyper holds the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_does_not_wait_for_ever() {
    let short = Duration::from_millis(300);
    let listener = ListenerSettings { write_stall: short, ..Default::default() };
    let stage = Stage::listening(listener).await;
    for _ in 0..1_000 {
        stage.publish("big", &"x".repeat(30_000)).await;
    }
    let mut connection = RawConnection::connect_narrow(stage.address, 4_096).await.unwrap();
    connection.send(get_history("big")).await.unwrap();
    connection.read_until("\r\n\r\n").await.unwrap();
    // The node has given up when the connection takes no more of what is sent to it.
    let refused = async { while connection.send(vec![b'x'; 65_536]).await.is_ok() {} };
    tokio::time::timeout(SOON, refused).await.expect("the connection's end");
}
