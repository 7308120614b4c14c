//! The browser's side: a real EventSource, in headless Chromium, on a `sluice dev`.

pub(crate) mod chromium;

use std::time::Duration;

use sluice_testkit::{
    Certificates, Item, Ledger, Node, NodeBuilder, RedisServer, Role, SseOptions, SseStream, Start,
    eventually, get, publish_http, request,
};
use tokio::time::timeout;

use crate::stage::{SLUICE, SOON, open, publisher};
use chromium::{Browser, CONNECTING, LISTENING, OPEN};

/// A message that no log holds and that moves no cursor.
const KNOCK: &str = "knock";

/// Returns when the browser is certainly in its stream, which has had no event yet.
async fn knock(redis: &RedisServer, browser: &mut Browser) {
    browser.until("open", &mut Vec::new()).await;
    eventually("a knock to be heard", SOON, async || {
        redis.cli(&["PUBLISH", "sluice:{a}:live", KNOCK]).await.unwrap();
        let heard = timeout(Duration::from_millis(200), browser.next()).await.ok()?;
        assert_eq!(heard.data, KNOCK);
        assert!(!heard.id.is_empty(), "no cursor before the first event");
        Some(())
    })
    .await
    .unwrap();
}

fn dev() -> NodeBuilder {
    Node::builder(SLUICE, Role::Dev).env("SLUICE_STREAMS__RETRY_MS", "300")
}

/// The stream of `topic` from its first event on: nothing can be published too early for it.
fn whole(node: &Node, topic: &str) -> String {
    format!("{}?topic={topic}&since=earliest", node.events_url())
}

async fn streams_open(node: &Node, wanted: f64) {
    eventually("the count of open streams", SOON, async || {
        node.metric("sluice_streams_open").await.is_ok_and(|open| open == Some(wanted))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_payload_reaches_a_browser_as_it_was_published() {
    let node = dev().spawn().await.unwrap();
    let Some(mut browser) = Browser::listen(&whole(&node, "a"), &["order.created"]).await else { return };
    assert_eq!(browser.until("open", &mut Vec::new()).await.state, OPEN);
    for (published, seen) in [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        ("\r\none\rtwo\r\n\n", "\none\ntwo\n\n"),
        ("Grüße, \u{6f22}\u{5b57}, \u{1f389}", "Grüße, \u{6f22}\u{5b57}, \u{1f389}"),
        ("a\u{2028}b\u{2029}c\u{85}d\u{feff}e", "a\u{2028}b\u{2029}c\u{85}d\u{feff}e"),
        ("", ""),
        (" a space ", " a space "),
        (": no comment\nid: 7\nevent: no\n\ndata: no", ": no comment\nid: 7\nevent: no\n\ndata: no"),
    ] {
        let id = publish_http(node.publisher_addr(), "a", published).await.unwrap();
        let report = browser.next().await;
        assert_eq!((report.what.as_str(), report.data.as_str()), ("event message", seen), "{published:?}");
        assert_eq!((report.id, report.state), (id.to_string(), OPEN));
    }
    let text = [("content-type", "text/plain")];
    for (name, expected) in [("order.created", "event order.created"), ("unheard", "event message")] {
        let path = format!("/v1/topics/a/events?type={name}");
        request(node.publisher_addr(), "POST", &path, &text, "typed")
            .await
            .unwrap()
            .expect_status(201)
            .unwrap();
        if name == "unheard" {
            publish_http(node.publisher_addr(), "a", "typed").await.unwrap();
        }
        let report = browser.next().await;
        assert_eq!((report.what.as_str(), report.data.as_str()), (expected, "typed"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_outlives_its_node_and_misses_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let node = dev().redis(&redis.url()).spawn();
    let (node, publisher) = tokio::join!(node, publisher(&redis.url()).spawn());
    let (mut node, publisher) = (node.unwrap(), publisher.unwrap());
    publish_http(publisher.publisher_addr(), "a", "before its time").await.unwrap();
    let Some(mut browser) = Browser::listen(&format!("{}?topic=a", node.events_url()), &[]).await else {
        return;
    };
    knock(&redis, &mut browser).await;

    let ledger = Ledger::new();
    let books = ledger.client("chromium", &["a"], Start::Everything);
    let mut ids = Vec::new();
    let mut publish = async |count: usize| {
        for _ in 0..count {
            let publication = ledger.publish("a");
            let id = publish_http(publisher.publisher_addr(), "a", &publication.payload).await.unwrap();
            ledger.acknowledge(&publication, id);
            ids.push(id.to_string());
        }
    };
    // Killed before the first event: all that the browser has is the cursor of the opening frame.
    for _ in 0..3 {
        node.kill().unwrap();
        publish(30).await;
        let (restarted, ()) = tokio::join!(node.restart(), publish(60));
        restarted.unwrap();
        streams_open(&node, 1.0).await;
        publish(30).await;
    }
    let (mut opened, mut lost, mut seen) = (0, 0, Vec::new());
    while !ledger.complete() {
        let report = browser.next().await;
        match report.what.as_str() {
            "open" => opened += 1,
            "error" => {
                lost += 1;
                assert_eq!(report.state, CONNECTING, "EventSource gave up");
            }
            _ if report.data == KNOCK => {}
            _ => {
                books.received(&report.data).unwrap();
                seen.push(report.id);
            }
        }
    }
    ledger.report().assert_exact().unwrap();
    assert_eq!(seen, ids);
    assert_eq!(opened, 3);
    assert!(lost >= 3, "{lost} losses noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shed_browser_comes_back_until_there_is_room() {
    let node = dev().env("SLUICE_LIMITS__STREAMS_MAX", "1").spawn().await.unwrap();
    let holder = open(node.addr(), &["a"], &SseOptions::default()).await;
    let Some(mut browser) = Browser::listen(&whole(&node, "a"), &["sluice.shed"]).await else { return };
    for _ in 0..2 {
        let shed = browser.until("event sluice.shed", &mut Vec::new()).await;
        assert_eq!(shed.data, r#"{"reason":"streams-max"}"#);
        assert_eq!(browser.until("error", &mut Vec::new()).await.state, CONNECTING);
    }
    publish_http(node.publisher_addr(), "a", "now").await.unwrap();
    drop(holder);
    let mut passed = Vec::new();
    let event = browser.until("event message", &mut passed).await;
    assert_eq!((event.data.as_str(), event.state), ("now", OPEN));
    assert!(passed.iter().all(|report| report.state <= OPEN), "{passed:?}");
}

/// What a `sluice.stale` says of `lastEventId` is the only way for a page to see a cursor that moved silently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_move_the_cursor_and_fire_nothing() {
    let mut redis = RedisServer::start().await.unwrap();
    let node = dev().redis(&redis.url()).env("SLUICE_STREAMS__HEARTBEAT_MS", "1000").spawn().await.unwrap();
    let id = publish_http(node.publisher_addr(), "a", "first").await.unwrap();
    let Some(mut browser) = Browser::listen(&whole(&node, "a"), &["sluice.stale"]).await else { return };
    assert_eq!(browser.until("event message", &mut Vec::new()).await.id, id.to_string());
    let options = SseOptions { within: SOON, ..SseOptions::default() };
    let mut beside = open(node.addr(), &["a"], &options).await;
    // The browser's stream is in a shard of its own and beats on its own, so one checkpoint here says nothing
    // of it; by the fourth it has had several. The first cursor may be the opening's.
    let mut checkpoints = Vec::new();
    while checkpoints.len() < 5 {
        match beside.next().await.unwrap() {
            Some(Item::Id(cursor)) if cursor.contains('~') => checkpoints.push(cursor),
            Some(Item::Comment(_) | Item::Id(_) | Item::Retry(_)) => {}
            other => panic!("{other:?} on an idle stream"),
        }
    }
    let checkpoint = checkpoints.swap_remove(0);
    redis.kill().unwrap();
    let report = browser.next().await;
    assert_eq!(report.what, "event sluice.stale", "a checkpoint fired something");
    assert!(
        report.id.starts_with(&format!("{id}~")) && report.id >= checkpoint,
        "{} {checkpoint}",
        report.id
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_is_there_and_allowed_to_do_its_work() {
    let node = dev().spawn().await.unwrap();
    let page = get(node.addr(), "/").await.unwrap().expect_status(200).unwrap();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    // Its own policy could forbid its script or its stream: only a browser tells.
    let Some(_browser) = Browser::visit(node.addr(), &[("topic", "a"), ("topic", "b")]) else { return };
    eventually("the console's stream", Duration::from_secs(60), async || {
        node.metric("sluice_streams_open").await.is_ok_and(|open| open == Some(1.0))
    })
    .await
    .unwrap();
}

/// The page itself, with a witness at its end that reports each row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_shows_events_as_text() {
    const WITNESS: &str = r#"<script>
        let told = Promise.resolve();
        new MutationObserver((changes) => changes.flatMap((change) => [...change.addedNodes]).forEach((row) => {
            const [, id, type, data] = [...row.cells].map((cell) => cell.textContent);
            const report = { what: `${row.className} ${type}`, data, id };
            const url = location.origin + "/report";
            told = told.then(() => fetch(url, { method: "POST", body: JSON.stringify(report) }));
        })).observe(document.getElementById("events"), { childList: true });
    </script>"#;
    let node = dev().spawn().await.unwrap();
    let page = get(node.addr(), "/").await.unwrap().text();
    let base = format!("<head><base href=\"http://{}/\">", node.addr());
    let page = page.replace("<head>", &base).replace("</html>", WITNESS);
    let query = [("topic", "a"), ("topic", "b"), ("type", "order.created"), ("since", "earliest")];
    let Some(mut browser) = Browser::show(page, &query).await else { return };
    assert_eq!(browser.until("link ", &mut Vec::new()).await.data, "open");
    let markup = "<img src=x onerror=\"document.body.remove()\">\n<b>";
    for (topic, kind) in [("a", ""), ("b", "?type=order.created")] {
        let path = format!("/v1/topics/{topic}/events{kind}");
        let text = [("content-type", "text/plain")];
        request(node.publisher_addr(), "POST", &path, &text, markup)
            .await
            .unwrap()
            .expect_status(201)
            .unwrap();
    }
    let (message, typed) = (browser.next().await, browser.next().await);
    assert_eq!((message.what.as_str(), message.data.as_str()), ("event message", markup));
    assert_eq!((typed.what.as_str(), typed.data.as_str()), ("event order.created", markup));
    assert!(!message.id.is_empty() && message.id != typed.id);
    let stream = SseStream::open(node.addr(), &["a", "b"], &crate::stage::behind(&typed.id)).await.unwrap();
    assert_eq!(stream.status(), 200, "what the console calls an id is a cursor");
}

/// By HTTPS a browser speaks HTTP/2, and its streams share one connection: more of them than the six that it
/// opens by HTTP/1.1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_streams_by_https_share_a_connection() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path()).unwrap();
    let file = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let node = dev()
        .env("SLUICE_TLS__CERT_FILE", &file(certificates.server_cert_file()))
        .env("SLUICE_TLS__KEY_FILE", &file(certificates.server_key_file()))
        .spawn()
        .await
        .unwrap();
    let page = "<script>\"use strict\"; const url = new URLSearchParams(location.search).get('stream');\n\
                const tell = (what, data) => fetch('/report', {method: 'POST', \n\
                    body: JSON.stringify({what, state: 1, data, id: ''})});\n\
                for (let n = 0; n < 8; n++) {\n\
                    const source = new EventSource(`${url}?topic=t/${n}`);\n\
                    source.onopen = () => tell('open', String(n));\n\
                    source.onmessage = (event) => tell('event', event.data);\n\
                }</script>";
    let url = node.events_url().replace("http://", "https://");
    let Some(mut browser) = Browser::show(page.to_owned(), &[("stream", &url)]).await else { return };
    for _ in 0..8 {
        assert_eq!(browser.next().await.what, "open");
    }
    streams_open(&node, 8.0).await;
    // Chromium tries several before it knows that one is enough, never more than six.
    assert!(node.metric("sluice_connections_accepted_total").await.unwrap() <= Some(6.0));
    let published = std::process::Command::new("curl")
        .args(["-sSk", "-H", "content-type: text/plain", "-d", "by h2"])
        .arg(format!("https://{}/v1/topics/t/5/events", node.addr()))
        .output()
        .unwrap();
    assert!(published.status.success(), "{published:?}");
    let report = browser.next().await;
    assert_eq!((report.what.as_str(), report.data.as_str()), ("event", "by h2"));
}

/// A page of another origin, its cookie, and the end of its token: told while it is awake, and told again when it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_reads_by_cookie_until_its_token_ends() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let node = crate::access::dev()
        .env("SLUICE_STREAMS__RETRY_MS", "300")
        .env("SLUICE_LIMITS__REFUSED_RETRY_MS", "1000")
        .env("SLUICE_CORS__ORIGINS", &origin)
        .env("SLUICE_CORS__CREDENTIALS", "true")
        .env("SLUICE_AUTH__LEEWAY_S", "0")
        .env("SLUICE_AUTH__EXPIRY_JITTER_S", "0")
        .spawn()
        .await
        .unwrap();
    let token = crate::access::token(&serde_json::json!({"exp": crate::access::now_s() + 40}));
    let stream = format!("{}?topic=orders/1&since=earliest", node.events_url());
    let query = [("token", token.as_str()), ("stream", &stream), ("type", "sluice.expired")];
    let shown = Browser::show_on(listener, LISTENING.to_owned(), &query).await;
    let Some(mut browser) = shown else { return };
    browser.until("open", &mut Vec::new()).await;
    let auth = format!("Bearer {token}");
    let headers = [("authorization", auth.as_str()), ("content-type", "text/plain")];
    let path = "/v1/topics/orders/1/events";
    request(node.addr(), "POST", path, &headers, "for u7").await.unwrap().expect_status(201).unwrap();
    let seen = browser.until("event message", &mut Vec::new()).await;
    assert_eq!((seen.data.as_str(), seen.state), ("for u7", OPEN));
    let last = browser.until("event sluice.expired", &mut Vec::new()).await;
    assert_eq!(last.data, r#"{"reason":"expired"}"#);
    // As after a sleep: EventSource comes back with the same cookie.
    for _ in 0..2 {
        assert_eq!(browser.until("error", &mut Vec::new()).await.state, CONNECTING);
        let again = browser.until("event sluice.expired", &mut Vec::new()).await;
        assert_eq!((again.data, again.id), (r#"{"reason":"expired"}"#.to_owned(), last.id.clone()));
    }
}

/// A quiet page can keep its cursor: `event.lastEventId` is there from the first frame on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_sees_its_cursor_before_any_event_of_its_topics() {
    let node = dev().env("SLUICE_STREAMS__HEARTBEAT_MS", "1000").spawn().await.unwrap();
    let stream = format!("{}?topic=a&topic=b&cursor_events=1", node.events_url());
    let Some(mut browser) = Browser::listen(&stream, &["sluice.cursor"]).await else { return };
    let first = browser.until("event sluice.cursor", &mut Vec::new()).await;
    assert!(first.data == "{}" && first.id.starts_with("v1."), "{first:?}");
    let checkpoint = browser.until("event sluice.cursor", &mut Vec::new()).await;
    assert!(checkpoint.id.starts_with("v1.") && checkpoint.id != first.id, "{checkpoint:?}");
    publish_http(node.publisher_addr(), "b", "x").await.unwrap();
    assert_eq!(browser.until("event message", &mut Vec::new()).await.data, "x");
}
