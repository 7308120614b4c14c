//! What is sent to a publisher, and what its answers are taken for.

use anyhow::Result;
use sluice_testkit::{publish_batch, publish_http, publish_with};
use sluice_wire::EventId;

use crate::answers::{Answers, End};

fn answer(status: &str, body: &str) -> (String, End) {
    (format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()), End::Close)
}

#[tokio::test]
async fn one_event_gives_its_id_or_the_refusal() -> Result<()> {
    let id = r#"{"id":"5-1"}"#;
    let answers = vec![answer("201 Created", id), answer("200 OK", id), answer("503 No", "circuit open")];
    let server = Answers::start(answers).await?;
    assert_eq!(publish_http(server.addr(), "a/b", "x").await?, EventId::new(5, 1));
    assert_eq!(
        publish_with(server.addr(), "a/b", "x", &[("idempotency-key", "k")]).await?,
        EventId::new(5, 1)
    );
    let error = publish_http(server.addr(), "a/b", "x").await.unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("circuit open"), "{error}");
    let heads = server.requests();
    assert!(heads[0].starts_with("post /v1/topics/a/b/events http/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("\r\ncontent-type: text/plain\r\n"), "{}", heads[0]);
    assert!(heads[1].contains("\r\nidempotency-key: k\r\n"), "{}", heads[1]);
    Ok(())
}

#[tokio::test]
async fn a_batch_gives_each_line_its_own_result() -> Result<()> {
    let mixed =
        r#"{"results":[{"id":"5-1"},{"line":2,"error":{"title":"no topic"}}],"published":1,"failed":1}"#;
    let short = r#"{"results":[{"id":"5-1"}],"published":1,"failed":0}"#;
    let server = Answers::start(vec![answer("207 Multi-Status", mixed), answer("200 OK", short)]).await?;
    let lines = [("a", "x"), ("{}", "y")];
    let results = publish_batch(server.addr(), &lines).await?;
    assert_eq!(*results[0].as_ref().unwrap(), EventId::new(5, 1));
    assert!(results[1].as_ref().unwrap_err().to_string().contains("no topic"));
    let error = publish_batch(server.addr(), &lines).await.unwrap_err().to_string();
    assert!(error.contains("1 results for 2 lines"), "{error}");
    Ok(())
}
