//! Streams whose tokens end: a last word, the end, and no way back with the same token.

use serde_json::json;
use sluice_testkit::{Item, SseStream, eventually, request};

use super::{dev, now_s, token, with_token};
use crate::stage::{SOON, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token() {
    let node = dev()
        .env("SLUICE_AUTH__LEEWAY_S", "0")
        .env("SLUICE_AUTH__EXPIRY_JITTER_S", "0")
        .spawn()
        .await
        .unwrap();
    let ends_s = now_s() + 4;
    let short = token(&json!({"exp": ends_s}));
    let mut lasting = open(node.addr(), &["orders/1"], &with_token(&token(&json!({})))).await;
    let mut ending = open(node.addr(), &["orders/1"], &with_token(&short)).await;
    // A GET with a body stays on hyper.
    let bearer = format!("Bearer {short}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let on_hyper = request(node.addr(), "GET", "/v1/events?topic=orders/1", &headers, "x").await.unwrap();
    assert!((ends_s..ends_s + 3).contains(&now_s()), "ended {} s off", now_s().abs_diff(ends_s));
    assert!(
        on_hyper.text().contains("event: sluice.expired\ndata: {\"reason\":\"expired\"}"),
        "{}",
        on_hyper.text()
    );
    let expired = ending.control("sluice.expired").await.unwrap();
    assert_eq!(expired.data, r#"{"reason":"expired"}"#);
    assert!(
        ending.end().await.unwrap().iter().all(|item| !matches!(item, Item::Event(_))),
        "it is the last word"
    );
    assert!((ends_s..ends_s + 4).contains(&now_s()), "ended {} s off", now_s().abs_diff(ends_s));

    let again = SseStream::open(node.addr(), &["orders/1"], &with_token(&short)).await.unwrap();
    assert_eq!(again.status(), 401, "for a browser, the end: it was told to get a new token");
    eventually("the places to be given back", SOON, async || {
        node.metric("sluice_streams_open").await.is_ok_and(|open| open == Some(1.0))
    })
    .await
    .unwrap();
    let auth = format!("Bearer {}", token(&json!({})));
    let headers = [("authorization", auth.as_str()), ("content-type", "text/plain")];
    let published = request(node.addr(), "POST", "/v1/topics/orders/1/events", &headers, "on").await.unwrap();
    assert_eq!(published.status, 201);
    assert_eq!(lasting.event().await.unwrap().data, "on");
}
