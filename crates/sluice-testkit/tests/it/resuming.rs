//! The client that comes back, over every kind of end.

use std::time::Duration;

use anyhow::Result;
use sluice_testkit::{Resuming, SseOptions};

use crate::answers::{Answers, End, ended_stream_of, stream_of};

fn options() -> SseOptions {
    SseOptions { within: Duration::from_secs(5), ..SseOptions::default() }
}

#[tokio::test]
async fn comes_back_with_its_cursor_to_the_next_address() -> Result<()> {
    let first = Answers::start(vec![
        (stream_of(&["retry: 100\nid: 1-0\n\n", "id: 2-0\ndata: a\n\n", "id: 9-9\ndata: torn"]), End::Reset),
        (stream_of(&["id: 3-0\n\n", "id: 4-0\ndata: c\n\n"]), End::Stay),
    ])
    .await?;
    let drained = ended_stream_of(&["id: 2-0\n\n", "id: 3-0\ndata: b\n\n", "retry: 50\n\n"]);
    let second = Answers::start(vec![(drained, End::Close)]).await?;
    let nobody = "127.0.0.1:1".parse()?;
    let mut client = Resuming::new(&[first.addr(), nobody, second.addr()], &["a"], options());
    client.connect().await?;
    assert_eq!(client.last_event_id(), "1-0");
    let events = client.events(3).await?;
    assert_eq!(events.iter().map(|event| event.data.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((client.last_event_id(), client.reconnections()), ("4-0", 2));
    assert!(!first.requests()[0].contains("last-event-id"));
    assert!(second.requests()[0].contains("\r\nlast-event-id: 2-0\r\n"));
    assert!(first.requests()[1].contains("\r\nlast-event-id: 3-0\r\n"));
    Ok(())
}

#[tokio::test]
async fn gives_up_for_good_on_a_refusal() -> Result<()> {
    let refusal = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned();
    let server =
        Answers::start(vec![(refusal, End::Close), (stream_of(&["data: a\n\n"]), End::Stay)]).await?;
    let error = Resuming::new(&[server.addr()], &["a"], options()).event().await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(server.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn control_events_and_the_cursor_are_kept_over_connections() -> Result<()> {
    let shed = ended_stream_of(&["retry: 1\n\n", "event: sluice.shed\nid: 1-0\ndata: {}\n\n"]);
    let server = Answers::start(vec![
        (ended_stream_of(&["retry: 1\nid: 1-0\n\n"]), End::Close),
        (shed.clone(), End::Close),
        (shed, End::Close),
        (stream_of(&["id: 1-0\n\n", "data: a\n\n"]), End::Stay),
    ])
    .await?;
    let mut client = Resuming::new(&[server.addr()], &["a"], options());
    assert_eq!(client.event().await?.data, "a");
    assert_eq!(client.controls().len(), 2);
    assert_eq!(client.last_event_id(), "1-0");
    assert!(server.requests()[3].contains("\r\nlast-event-id: 1-0\r\n"), "a shed says the cursor again");
    client.drop_connection();
    Ok(())
}

#[tokio::test]
async fn the_deadline_says_what_was_wrong_last() -> Result<()> {
    let hasty = SseOptions { within: Duration::from_millis(300), ..SseOptions::default() };
    let error = Resuming::new(&["127.0.0.1:1".parse()?], &["a"], hasty).event().await.unwrap_err();
    assert!(error.to_string().contains("connecting to 127.0.0.1:1"), "{error}");
    Ok(())
}
