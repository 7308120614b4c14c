//! Requests and raw bytes against prepared answers.

use anyhow::Result;
use sluice_testkit::{RawConnection, get, request};

use crate::answers::{Answers, End, ended_stream_of};

#[tokio::test]
async fn reads_status_headers_and_the_joined_body() -> Result<()> {
    let server = Answers::start(vec![(ended_stream_of(&["{\"a\":", "1}"]), End::Close)]).await?;
    let response = request(server.addr(), "POST", "/x?y=1", &[("x-test", "yes")], "body").await?;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(response.json()?["a"], 1);
    let head = &server.requests()[0];
    assert!(head.starts_with("post /x?y=1 http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.addr())), "{head}");
    assert!(head.contains("x-test: yes\r\n") && head.contains("content-length: 4\r\n"), "{head}");
    Ok(())
}

#[tokio::test]
async fn a_torn_body_and_a_wrong_status_are_errors() -> Result<()> {
    let torn = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned();
    let refused = "HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy".to_owned();
    let server = Answers::start(vec![(torn, End::Close), (refused, End::Close)]).await?;
    assert!(get(server.addr(), "/").await.is_err());
    let error = get(server.addr(), "/").await?.expect_status(200).unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("busy"), "{error}");
    Ok(())
}

#[tokio::test]
async fn raw_bytes_go_out_as_they_are_and_reads_keep_what_is_behind() -> Result<()> {
    let server = Answers::start(vec![("first|second|rest".to_owned(), End::Close)]).await?;
    let mut raw = RawConnection::connect(server.addr()).await?;
    raw.send("GET / HTTP/1.1\r\n").await?;
    raw.send("\r\n").await?;
    raw.half_close().await?;
    assert_eq!(raw.read_until("|").await?, b"first|");
    assert_eq!(raw.read_exact(3).await?, b"sec");
    assert_eq!(raw.read_until("d|").await?, b"ond|");
    assert_eq!(raw.read_to_end().await?, b"rest");
    assert_eq!(server.requests(), ["get / http/1.1\r\n\r\n"]);
    Ok(())
}

#[tokio::test]
async fn an_early_end_and_a_reset_are_errors() -> Result<()> {
    let server = Answers::start(vec![("half".to_owned(), End::Close), (String::new(), End::Reset)]).await?;
    let mut raw = RawConnection::connect_narrow(server.addr(), 4_096).await?;
    raw.send("\r\n\r\n").await?;
    let error = raw.read_until("whole").await.unwrap_err().to_string();
    assert!(error.contains("half"), "{error}");
    let mut raw = RawConnection::connect(server.addr()).await?;
    raw.send("\r\n\r\n").await?;
    assert!(raw.read_to_end().await.is_err());
    Ok(())
}
