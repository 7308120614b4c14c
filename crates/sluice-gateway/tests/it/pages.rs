//! Pages of history are bounded, in bytes and in number, and whoever follows `next` misses nothing.

use sluice_testkit::{eventually, get};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use crate::stage::{SOON, Stage};

const PATH: &str = "/v1/topics/big/events?limit=1000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_ends_when_it_is_full_and_the_next_one_goes_on() {
    let stage = Stage::start().await;
    let mut published = Vec::new();
    for _ in 0..40 {
        published.push(stage.publish("big", &"x".repeat(100_000)).await.to_string());
    }
    for _ in 0..70 {
        published.push(stage.publish("big", "small").await.to_string());
    }
    let (mut read, mut since) = (Vec::new(), "0-0".to_owned());
    while read.len() < published.len() {
        let page = get(stage.address, &format!("{PATH}&since={since}")).await.unwrap();
        let page = page.expect_status(200).unwrap().json().unwrap();
        let events = page["events"].as_array().unwrap();
        assert!((1..=100).contains(&events.len()), "{}", events.len());
        let bytes: usize = events.iter().map(|event| event["data"].as_str().unwrap().len()).sum();
        assert!(bytes < (1 << 20) + 100_000, "{bytes} bytes in a page");
        read.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        since = page["next"].as_str().unwrap().to_owned();
        assert_eq!(Some(&since), read.last());
    }
    assert_eq!(read, published);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_nobody_takes_are_held_in_bounded_number() {
    let stage = Stage::start().await;
    // Each character is six in JSON: more than the sockets hold between them when the client reads nothing.
    stage.publish("big", &"\u{1}".repeat(1 << 20)).await;
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut idle = Vec::new();
    eventually("pages to be refused", SOON, async || {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        let mut connection = socket.connect(stage.address).await?;
        connection.write_all(request.as_bytes()).await?;
        idle.push(connection);
        let page = get(stage.address, PATH).await?;
        anyhow::ensure!(page.status == 503, "{} with {} held", page.status, idle.len());
        anyhow::ensure!(page.header("retry-after") == Some("1"), "no retry-after");
        Ok(())
    })
    .await
    .unwrap();
    assert!(idle.len() >= 31, "{} were enough", idle.len());
    drop(idle);
    eventually("room for a page", SOON, async || {
        let page = get(stage.address, PATH).await?;
        anyhow::ensure!(page.status == 200, "{}", page.status);
        Ok(())
    })
    .await
    .unwrap();
}
