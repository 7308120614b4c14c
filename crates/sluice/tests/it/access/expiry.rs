//! Streams whose tokens end: a last word, the end, and no way back with the same token; and streams that must not become
//! anonymous.

use serde_json::json;
use sluice_testkit::{Item, Response, SseOptions, SseStream, eventually, request};

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
    let ends_s = now_s() + 8;
    let short = token(&json!({"exp": ends_s}));
    let mut lasting = open(node.addr(), &["orders/1"], &with_token(&token(&json!({})))).await;
    let mut ending = open(node.addr(), &["orders/1"], &with_token(&short)).await;
    // A GET with a body stays on hyper.
    let bearer = format!("Bearer {short}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let on_hyper = request(node.addr(), "GET", "/v1/events?topic=orders/1", &headers, "x").await.unwrap();
    assert!((ends_s..ends_s + 20).contains(&now_s()), "ended {} s off", now_s().abs_diff(ends_s));
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
    assert!((ends_s..ends_s + 20).contains(&now_s()), "ended {} s off", now_s().abs_diff(ends_s));

    // A status would be the end for a browser that comes back.
    let again = SseOptions { last_event_id: "1-0".to_owned(), ..with_token(&short) };
    let mut again = SseStream::open(node.addr(), &["orders/1"], &again).await.unwrap();
    assert_eq!(again.status(), 200);
    let told = again.end().await.unwrap();
    let [Item::Retry(retry_ms), Item::Event(expired)] = &told[..] else { panic!("{told:?}") };
    assert!(
        (5_000..=15_000).contains(retry_ms),
        "{retry_ms} is not limits.refused_retry_ms, give or take half"
    );
    assert_eq!((&*expired.event_type, &*expired.data), ("sluice.expired", r#"{"reason":"expired"}"#));
    assert_eq!(expired.last_event_id, "1-0", "it keeps its cursor");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let status = request(node.addr(), "GET", "/v1/events?topic=orders/1&errors=status", &headers, "").await;
    assert_eq!(status.unwrap().status, 401, "whoever asks for a status gets one");
    let asked = node.metric("sluice_auth_renewals_asked_total").await.unwrap();
    assert_eq!(asked, Some(1.0));
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

/// What a GET as a browser sends it is answered.
async fn asks(node: &sluice_testkit::Node, path: &str, headers: &[(&str, &str)]) -> Response {
    let headers: Vec<_> = [("accept", "text/event-stream")].iter().chain(headers).copied().collect();
    request(node.addr(), "GET", path, &headers, "").await.unwrap()
}

const MISSING: &str = "event: sluice.expired\ndata: {\"reason\":\"missing\"}\n\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_cookie_is_gone_is_told_and_not_served_as_somebody_else() {
    let node = dev().spawn().await.unwrap();
    let required = "/v1/events?topic=public/1&auth=required";
    let told = asks(&node, required, &[]).await.expect_status(200).unwrap();
    assert!(told.text().starts_with("retry: ") && told.text().ends_with(MISSING), "{}", told.text());
    let status = request(node.addr(), "GET", required, &[("accept", "*/*")], "").await.unwrap();
    assert_eq!((status.status, super::slug(&status)), (401, "unauthorized".to_owned()));
    assert_eq!(status.header("www-authenticate"), Some("Bearer realm=\"sluice\""));
    let cookie = format!("sluice_token={}", token(&json!({})));
    let headers = [("accept", "text/event-stream"), ("cookie", cookie.as_str())];
    assert_eq!(request(node.addr(), "HEAD", required, &headers, "").await.unwrap().status, 200);
    let wrong = asks(&node, "/v1/events?topic=public/1&auth=maybe", &[]).await;
    assert_eq!((wrong.status, super::slug(&wrong)), (400, "invalid-query".to_owned()));

    // A page that does not say so: the first request is most likely a mistake, one with a cursor had credentials.
    let closed = "/v1/events?topic=orders/1";
    assert_eq!(asks(&node, closed, &[]).await.status, 401);
    let back = asks(&node, closed, &[("last-event-id", "1-0")]).await.expect_status(200).unwrap();
    assert!(back.text().contains("id: 1-0\n") && back.text().ends_with(MISSING), "{}", back.text());
    let forged = format!("sluice_token={}x", token(&json!({})));
    let forged = [("cookie", forged.as_str()), ("last-event-id", "1-0")];
    assert_eq!(asks(&node, closed, &forged).await.status, 401, "what never was a token never becomes one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_comes_back_in_a_loop_waits_longer_and_longer_and_is_then_refused() {
    let node = dev()
        .env("SLUICE_LIMITS__REFUSED_RETRY_MS", "1000")
        .env("SLUICE_LIMITS__REFUSED_RETRY_MAX_MS", "20000")
        .env("SLUICE_STREAMS__RETRY_JITTER_PERCENT", "0")
        .spawn()
        .await
        .unwrap();
    let cookie = format!("sluice_token={}", token(&json!({"exp": now_s() - 60})));
    let mut waits = Vec::new();
    let refused = loop {
        let answer = asks(&node, "/v1/events?topic=orders/1", &[("cookie", &cookie)]).await;
        if answer.status != 200 {
            break answer;
        }
        let text = answer.text();
        let retry = text.strip_prefix("retry: ").and_then(|text| text.split_once('\n')).unwrap().0;
        waits.push(retry.parse::<u64>().unwrap());
        assert!(waits.len() < 1_000, "it goes on for ever: {waits:?}");
    };
    assert_eq!((refused.status, super::slug(&refused)), (429, "expired-rate".to_owned()));
    assert!(refused.header("retry-after").is_some());
    assert!(waits[0] <= 1_100 && waits[5] >= 4_000 && waits.iter().all(|wait| *wait <= 20_000), "{waits:?}");
    let other = format!("sluice_token={}", token(&json!({"exp": now_s() - 61})));
    assert_eq!(asks(&node, "/v1/events?topic=orders/1", &[("cookie", &other)]).await.status, 200);
    let off = dev().env("SLUICE_AUTH__EXPIRED_AS_EVENT", "false").spawn().await.unwrap();
    assert_eq!(asks(&off, "/v1/events?topic=orders/1", &[("cookie", &cookie)]).await.status, 401);
}
