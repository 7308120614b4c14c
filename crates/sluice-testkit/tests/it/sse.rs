//! Streams as a gateway sends them, and as it must not.

use std::time::Duration;

use anyhow::Result;
use sluice_testkit::{Item, Received, SseOptions, SseStream};

use crate::answers::{Answers, End, ended_stream_of, stream_of};

fn quick() -> SseOptions {
    SseOptions { within: Duration::from_secs(2), ..SseOptions::default() }
}

fn received(data: &str, last_event_id: &str) -> Received {
    Received {
        event_type: "message".to_owned(),
        data: data.to_owned(),
        last_event_id: last_event_id.to_owned(),
    }
}

#[tokio::test]
async fn reads_items_and_follows_the_cursor_one_by_one() -> Result<()> {
    let answer = ended_stream_of(&["retry: 9\nid: 1-0\n\n: hi\n\nid: 2-0\nda", "ta: a\n\nid: 3-0\n\n"]);
    let server = Answers::start(vec![(answer, End::Close)]).await?;
    let mut stream = SseStream::open(server.addr(), &["a/b"], &quick()).await?;
    assert_eq!(
        (stream.status(), stream.headers()["content-type"].as_bytes()),
        (200, &b"text/event-stream"[..])
    );
    assert_eq!(stream.next().await?, Some(Item::Retry(9)));
    assert_eq!(stream.last_event_id(), "");
    assert_eq!(stream.next().await?, Some(Item::Id("1-0".to_owned())));
    assert_eq!(stream.last_event_id(), "1-0");
    assert_eq!(stream.events(1).await?, [received("a", "2-0")]);
    assert_eq!(stream.last_event_id(), "2-0");
    assert_eq!(stream.end().await?, [Item::Id("3-0".to_owned())]);
    assert_eq!(stream.next().await?, None);
    Ok(())
}

#[tokio::test]
async fn asks_with_its_options() -> Result<()> {
    let answer = "HTTP/1.0 200 OK\r\n\r\nid: 8-0\ndata: plain\n\n".to_owned();
    let server = Answers::start(vec![(answer, End::Close)]).await?;
    let options = SseOptions {
        last_event_id: "7-0".to_owned(),
        since: Some("last:3".to_owned()),
        headers: vec![("authorization".to_owned(), "bearer x".to_owned())],
        http10: true,
        receive_buffer: Some(4_096),
        ..quick()
    };
    let mut stream = SseStream::open(server.addr(), &["a", "b"], &options).await?;
    assert_eq!(stream.events(1).await?, [received("plain", "8-0")]);
    assert_eq!(stream.end().await?, []);
    let head = &server.requests()[0];
    assert!(head.starts_with("get /v1/events?topic=a&topic=b&since=last%3a3 http/1.0\r\n"), "{head}");
    for field in ["last-event-id: 7-0", "authorization: bearer x", "accept: text/event-stream"] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{field} is not in {head}");
    }
    Ok(())
}

#[tokio::test]
async fn control_events_are_put_aside_and_can_be_awaited() -> Result<()> {
    let gap = "event: sluice.gap\ndata: {}\n\n";
    let answer = stream_of(&[gap, "data: a\n\n", "data: b\n\n", gap]);
    let server = Answers::start(vec![(answer, End::Stay)]).await?;
    let mut stream = SseStream::open(server.addr(), &["a"], &quick()).await?;
    assert_eq!(stream.event().await?.data, "a");
    assert_eq!(stream.controls().len(), 1);
    assert_eq!(stream.control("sluice.gap").await?.data, "{}");
    Ok(())
}

#[tokio::test]
async fn silence_a_torn_stream_and_an_early_end_are_different_errors() -> Result<()> {
    let ends = [
        (stream_of(&[]), End::Stay, "nothing came within"),
        (stream_of(&[]), End::Close, "was torn"),
        (stream_of(&["data: half"]), End::Reset, "was torn"),
        (ended_stream_of(&["data: half"]), End::Close, "ended instead of an event"),
    ];
    for (answer, end, complaint) in ends {
        let server = Answers::start(vec![(answer, end)]).await?;
        let mut stream = SseStream::open(server.addr(), &["a"], &quick()).await?;
        let error = format!("{:#}", stream.events(1).await.unwrap_err());
        assert!(error.contains(complaint) && error.contains("after 0 of 1"), "{error}");
    }
    Ok(())
}
