//! HTTP/2: streams share a connection and frames, and each costs only itself.

use std::time::Duration;

use http::Request;
use sluice_gateway::ListenerSettings;
use tokio::net::TcpStream;

use crate::secure::{Http2Stream, Secure, http2_over};
use crate::stage::{SOON, Stage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_on_one_connection() {
    let secure = Secure::start().await;
    let mut requests = secure.http2().await;
    let mut streams = Vec::new();
    for number in 0..100 {
        streams.push(Http2Stream::open(&mut requests, &format!("t/{}", number % 10)).await);
    }
    assert_eq!(secure.stage.gateway.status().streams, 100);
    for number in 0..10 {
        secure.stage.publish(&format!("t/{number}"), &format!("to {number}")).await;
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.until(&format!("data: to {}\n\n", number % 10)).await;
    }
    // One that is let go is gone, and the others stay.
    streams.pop();
    secure.stage.reach("99 streams", |status| status.streams == 99).await;
    drop(streams);
    secure.stage.empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_plain_text_for_those_who_know() {
    let stage = Stage::listening(ListenerSettings { h2c: true, ..Default::default() }).await;
    let socket = TcpStream::connect(stage.address).await.unwrap();
    let mut stream = Http2Stream::open(&mut http2_over(&stage, socket).await, "a").await;
    // The same listener takes HTTP/1.1, of which streams leave hyper.
    let mut leaving = stage.stream("a").await;
    stage.reach("one slot of two streams", |status| (status.streams, status.shards.streams) == (2, 1)).await;
    stage.publish("a", "one").await;
    stream.until("data: one\n\n").await;
    crate::stage::event(&mut leaving, "one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_says_goodbye_and_ends_every_stream() {
    let secure = Secure::start().await;
    let mut requests = secure.http2().await;
    let mut first = Http2Stream::open(&mut requests, "a").await;
    let second = Http2Stream::open(&mut requests, "b").await;
    secure.stage.publish("a", "one").await;
    // A drain may come before an event that is on its way: the log has it, and the cursor says where.
    first.until("data: one\n\n").await;
    secure.stage.drain().await;
    for stream in [first, second] {
        let text = stream.rest().await;
        assert!(text.contains("retry: "), "{text}");
    }
    // GOAWAY: nothing more is asked on this connection.
    let gone = async {
        while requests.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the connection's end");
    // Who comes anew is told to come back.
    let mut requests = secure.http2().await;
    let request = Request::get("https://localhost/v1/events?topic=a").header("accept", "text/event-stream");
    let (answer, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    let answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let text = tokio::time::timeout(SOON, body.data()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&text).contains("sluice.shed"), "{text:?}");
}

/// A reader that takes nothing falls behind the ring, goes back to the log and misses nothing; its neighbour on
/// the same connection does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_costs_only_itself() {
    const EVENTS: usize = 400;
    let secure = Secure::start().await;
    let mut requests = secure.http2().await;
    let mut slow = Http2Stream::open(&mut requests, "a").await;
    let mut quick = Http2Stream::open(&mut requests, "a").await;
    let filler = "x".repeat(20_000);
    for number in 0..EVENTS {
        secure.stage.publish("a", &format!("{number} {filler}")).await;
        if number % 50 == 49 {
            quick.until(&format!("data: {number} ")).await;
        }
    }
    let mut seen = String::new();
    for number in 0..EVENTS {
        let read = slow.until(&format!("data: {number} ")).await;
        assert_eq!(read.matches("data: ").count(), 1, "{number} follows {seen}");
        seen = number.to_string();
    }
}

/// Rapid reset: a client that opens and drops requests faster than they are looked at loses its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let secure = Secure::start().await;
    let mut stay = Http2Stream::open(&mut secure.http2().await, "b").await;
    let mut requests = secure.http2().await;
    let flood = async {
        loop {
            let request = Request::get("https://localhost/v1/events?topic=a").body(()).unwrap();
            match requests.clone().ready().await {
                Ok(ready) => requests = ready,
                Err(error) => return error,
            }
            for _ in 0..100 {
                let Ok((_, mut sent)) = requests.send_request(request.clone(), true) else { break };
                sent.send_reset(h2::Reason::CANCEL);
            }
        }
    };
    let error = tokio::time::timeout(SOON, flood).await.expect("the connection's end");
    assert!(error.is_go_away() || error.is_io(), "{error:?}");
    secure.stage.publish("b", "one").await;
    stay.until("data: one\n\n").await;
    secure.stage.reach("the flood's streams to be gone", |status| status.streams == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_streams_are_limited() {
    let secure = Secure::start_with(false, |listener| listener.http2_streams_max = 2).await;
    let mut requests = secure.http2().await;
    let _first = Http2Stream::open(&mut requests, "a").await;
    let _second = Http2Stream::open(&mut requests, "a").await;
    assert_eq!(requests.current_max_send_streams(), 2);

    let other = secure.http2().await;
    let huge = "x".repeat(20_000);
    let request = Request::get("https://localhost/address").header("x-huge", huge).body(()).unwrap();
    let (answer, _) = other.clone().send_request(request, true).unwrap();
    let answer = tokio::time::timeout(SOON, answer).await.unwrap();
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_requests_does_not_stay() {
    // Room for a handshake and a request on a machine that is busy.
    let short = Duration::from_secs(2);
    let secure = Secure::start_with(false, |listener| listener.header_read_timeout = short).await;
    let requests = secure.http2().await;
    let gone = async {
        while requests.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the connection's end");
    let mut stay = Http2Stream::open(&mut secure.http2().await, "a").await;
    tokio::time::timeout(2 * short, stay.until("never")).await.expect_err("a stream is not at rest");
}
