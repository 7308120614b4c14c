//! Pages of history are bounded, each and in all, and whoever follows `next` misses nothing.

use sluice_testkit::{RawConnection, eventually, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
async fn pages_that_nobody_takes_are_held_in_bounded_memory() {
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
    assert!((2..=4).contains(&idle.len()), "{} took 16 MiB", idle.len());
    drop(idle);
    eventually("room for a page", SOON, async || {
        let page = get(stage.address, PATH).await?;
        anyhow::ensure!(page.status == 200, "{}", page.status);
        Ok(())
    })
    .await
    .unwrap();
}

/// A page costs what was handed out of it and not taken, so many times more slow readers than whole pages would fit
/// leave room for others, and miss nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_keep_a_piece_of_their_page_each() {
    const SLOW: usize = 60;
    let stage = Stage::start().await;
    let mut published = Vec::new();
    for _ in 0..250 {
        // As JSON, all of them are more than the sockets hold between them.
        published.push(stage.publish("big", &"\u{1}".repeat(4 << 10)).await.to_string());
    }
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut connection = socket.connect(stage.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        // The page is under way.
        connection.read_exact(&mut [0; 100]).await.unwrap();
        slow.push(connection);
    }
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let events = page["events"].as_array().unwrap();
        events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    };
    let page = get(stage.address, PATH).await.unwrap().expect_status(200).unwrap().json().unwrap();
    assert_eq!(ids(&page), published);
    let mut rest = Vec::new();
    slow.pop().unwrap().read_to_end(&mut rest).await.unwrap();
    let text = String::from_utf8(rest).unwrap();
    assert!(text.ends_with("\r\n0\r\n\r\n"), "a clean end");
    assert!(text.contains(&format!("\"next\":\"{}\"", published.last().unwrap())));
}

/// What was read by then is a page all the same, and says where it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_ends_in_good_order_with_its_node() {
    let stage = Stage::start().await;
    for _ in 0..250 {
        stage.publish("big", &"\u{1}".repeat(4 << 10)).await;
    }
    let mut connection = RawConnection::connect_narrow(stage.address, 4_096).await.unwrap();
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    connection.send(&request).await.unwrap();
    connection.read_until("{\"events\":[").await.unwrap();
    stage.stop.cancel();
    let rest = String::from_utf8(connection.read_to_end().await.unwrap()).unwrap();
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "a clean end");
    assert!(rest.contains("],\"next\":\""), "where the next page begins");
}
