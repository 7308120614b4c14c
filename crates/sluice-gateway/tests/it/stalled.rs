//! Clients that take nothing where hyper drives the answer: each is ended in time and gives back what it held.

use std::time::Duration;

use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;
use sluice_gateway::{ListenerSettings, Sentence};
use sluice_testkit::{eventually, get};
use sluice_wire::sse::Frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use crate::secure::{Http2Stream, Secure, ask_as, read_until};
use crate::stage::{SOON, Stage};

const STALL: Duration = Duration::from_secs(1);
/// As many as a connection may have.
const STREAMS: usize = 128;
/// Room for the first frame of a stream and not for a large event.
const WINDOW: u32 = 1 << 10;
const LARGE: usize = 10_000;

type Requests = SendRequest<bytes::Bytes>;

/// A connection of whose answers each has a window of so many bytes.
async fn windowed<I>(stage: &Stage, io: I, window: u32) -> Requests
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 20);
    let (requests, connection) = builder.handshake(io).await.unwrap();
    stage.tracker.spawn(async move {
        let _ = connection.await;
    });
    requests.ready().await.unwrap()
}

/// The body of an answer, of which nothing was read.
async fn unread(requests: &mut Requests, path: &str) -> RecvStream {
    let request = Request::get(format!("http://localhost{path}")).header("x-subject", "mallory");
    let (answer, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    let answer = tokio::time::timeout(SOON, answer).await.expect("an answer").unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// Reads what had come, without making room for more, up to the reset.
async fn is_reset(mut body: RecvStream) {
    let error = loop {
        match tokio::time::timeout(SOON, body.data()).await.expect("the reset").expect("no orderly end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_streams_of_a_connection_but_the_one_that_is_read() {
    let secure = Secure::start_with(false, |listener| listener.write_stall = STALL).await;
    let io = secure.connect(&["h2"]).await.unwrap();
    let mut requests = windowed(&secure.stage, io, WINDOW).await;
    let mut read = Http2Stream::open(&mut requests, "a").await;
    // Twice: what the first have held is there for others.
    for round in 0..2 {
        let mut stalled = Vec::new();
        for _ in 1..STREAMS {
            stalled.push(unread(&mut requests, "/v1/events?topic=a").await);
        }
        secure.stage.reach("all streams", |status| status.streams == STREAMS).await;
        secure.stage.publish("a", &format!("{round}{}", "x".repeat(LARGE))).await;
        read.until(&format!("data: {round}")).await;
        read.until("x\n\n").await;
        secure.stage.reach("those that are not read to end", |status| status.streams == 1).await;
        for body in stalled {
            is_reset(body).await;
        }
    }
    secure.stage.publish("a", "still").await;
    read.until("data: still\n\n").await;
    drop(read);
    secure.stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_are_never_opened_in_plain_text() {
    let stage =
        Stage::listening(ListenerSettings { h2c: true, write_stall: STALL, ..Default::default() }).await;
    let mut requests = windowed(&stage, TcpStream::connect(stage.address).await.unwrap(), 0).await;
    let mut stalled = Vec::new();
    for _ in 0..STREAMS {
        stalled.push(unread(&mut requests, "/v1/events?topic=a").await);
    }
    for body in stalled {
        is_reset(body).await;
    }
    stage.empty().await;
}

/// As much of pages as there may be at once, none of which is taken; some would be in the hands of h2 to their ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_history_are_given_back() {
    const PAGES: usize = 16;
    let path = "/v1/topics/a/events";
    // None of the pages may have stalled before all are asked for.
    let write_stall = STALL * 5;
    let stage = Stage::listening(ListenerSettings { h2c: true, write_stall, ..Default::default() }).await;
    stage.publish("a", &"x".repeat(1 << 20)).await;
    let mut requests = windowed(&stage, TcpStream::connect(stage.address).await.unwrap(), WINDOW).await;
    let mut stalled = Vec::new();
    for _ in 0..PAGES {
        stalled.push(unread(&mut requests, path).await);
    }
    assert_eq!(get(stage.address, path).await.unwrap().status, 503);
    for body in stalled {
        is_reset(body).await;
    }
    eventually("room for a page", SOON, async || {
        let page = get(stage.address, path).await?;
        anyhow::ensure!(page.status == 200, "{}", page.status);
        Ok(())
    })
    .await
    .unwrap();
}

/// A stream by TLS and HTTP/1.1 whose client has read its beginning and reads no more, of events that are more than
/// sockets hold.
async fn stalled_by_http_1(secure: &Secure) -> tokio_rustls::client::TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let socket = socket.connect(secure.stage.address).await.unwrap();
    let mut connection = secure.shake_hands(socket, &["http/1.1"], false).await.unwrap();
    ask_as(&mut connection, "mallory", "big").await;
    read_until(&mut connection, "\nid: ").await;
    connection
}

async fn publish_more_than_sockets_hold(stage: &Stage) {
    for _ in 0..400 {
        stage.publish("big", &"x".repeat(30_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_by_tls_and_http_1() {
    let secure = Secure::start_with(false, |listener| listener.write_stall = STALL).await;
    let _connection = stalled_by_http_1(&secure).await;
    publish_more_than_sockets_hold(&secure.stage).await;
    secure.stage.empty().await;
}

/// Whoever takes nothing is not told why it ends. It is ended soon all the same, long before it would have stalled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentence_does_not_wait_for_those_who_take_nothing() {
    let secure = Secure::start_with(false, |listener| listener.write_stall = 10 * SOON).await;
    let mut requests = windowed(&secure.stage, secure.connect(&["h2"]).await.unwrap(), 0).await;
    let body = unread(&mut requests, "/v1/events?topic=a").await;
    let _connection = stalled_by_http_1(&secure).await;
    publish_more_than_sockets_hold(&secure.stage).await;
    let sentence = Sentence::new("revoked", |retry| Frame::control("sluice.revoked", "{}", Some(retry)));
    assert_eq!(secure.stage.gateway.end_streams(|who| who.names.subject == Some("mallory"), &sentence), 2);
    is_reset(body).await;
    secure.stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_node_does_not_wait_for_those_who_take_nothing() {
    let secure = Secure::start_with(false, |listener| listener.write_stall = 10 * SOON).await;
    let mut requests = windowed(&secure.stage, secure.connect(&["h2"]).await.unwrap(), 0).await;
    let _body = unread(&mut requests, "/v1/events?topic=a").await;
    let _connection = stalled_by_http_1(&secure).await;
    publish_more_than_sockets_hold(&secure.stage).await;
    secure.stage.drain().await;
    assert_eq!(secure.stage.gateway.status().streams, 2, "they cannot take their last words");
    secure.stage.stop.cancel();
    secure.stage.tracker.close();
    tokio::time::timeout(SOON, secure.stage.tracker.wait()).await.expect("every task ends");
    assert_eq!(secure.stage.gateway.status().streams, 0);
}
