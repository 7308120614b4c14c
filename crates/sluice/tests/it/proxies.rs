//! `docker/nginx.conf` and `docker/haproxy.cfg` as they stand, run by a real nginx and a real HAProxy in front of real
//! nodes; and what docs/tuning.md says of Envoy and Traefik, run by `make proxies`.

mod front;

use std::time::Duration;

use serde_json::json;
use sluice_testkit::{
    Item, Node, RawConnection, RedisServer, Resuming, SseOptions, SseStream, eventually, publish_http,
    request,
};
use tokio::time::timeout;

use crate::browser::chromium::{Browser, CONNECTING, Report};
use crate::stage::{SOON, behind, data, gateway, open, publisher};
pub(crate) use front::{Front, Kind};

/// Two gateways and a publisher on one Redis, behind a proxy.
pub(crate) struct Site {
    /// Goes first: fields drop in order.
    pub(crate) front: Front,
    pub(crate) gateways: [Node; 2],
    pub(crate) publisher: Node,
    kind: Kind,
    _redis: RedisServer,
}

impl Site {
    /// Returns `None` where the proxy is not installed.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        Self::start_with(kind, &[]).await
    }

    async fn start_with(kind: Kind, settings: &[(&str, &str)]) -> Option<Self> {
        let program = kind.find()?;
        let redis = RedisServer::start().await.unwrap();
        let gateway = || {
            let plain =
                gateway(&redis.url()).env("SLUICE_STREAMS__RETRY_MS", "300").env("SLUICE_CORS__ORIGINS", "*");
            settings.iter().fold(plain, |builder, (name, value)| builder.env(name, value)).spawn()
        };
        let (one, other, publisher) = tokio::join!(gateway(), gateway(), publisher(&redis.url()).spawn());
        let (gateways, publisher) = ([one.unwrap(), other.unwrap()], publisher.unwrap());
        let front = Front::start(kind, &program, &gateways, &publisher).await;
        Some(Self { front, gateways, publisher, kind, _redis: redis })
    }

    pub(crate) fn kill_gateways(&mut self) {
        self.gateways.iter_mut().for_each(|gateway| gateway.kill().unwrap());
    }

    async fn restart_gateways(&mut self) {
        for gateway in &mut self.gateways {
            gateway.restart().await.unwrap();
        }
    }

    async fn publish(&self, data: &str) {
        let address =
            if self.kind.publishes() { self.front.address() } else { self.publisher.publisher_addr() };
        publish_http(address, "a", data).await.unwrap();
    }
}

/// What a browser reads while no gateway runs: `retry` and the end.
async fn read_answer_without_gateways(front: &Front) -> Option<u64> {
    let mut stream = SseStream::open(front.address(), &["a"], &SseOptions::default()).await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["cache-control"], "no-store");
    let mut retry_ms = None;
    while let Some(item) = stream.next().await.unwrap() {
        match item {
            Item::Retry(ms) => retry_ms = Some(ms),
            other => panic!("{other:?} without a gateway"),
        }
    }
    retry_ms
}

async fn streams_come_back_when_all_gateways_were_away(kind: Kind) {
    let Some(mut site) = Site::start(kind).await else { return };
    let mut client = Resuming::new(&[site.front.address()], &["a"], SseOptions::default());
    client.connect().await.unwrap();
    site.publish("1").await;
    assert_eq!(client.event().await.unwrap().data, "1");
    site.kill_gateways();
    // From the first moment on: nobody knows yet that they are gone.
    for _ in 0..10 {
        let retry_ms = read_answer_without_gateways(&site.front).await.expect("a retry");
        assert!((2_000..=6_000).contains(&retry_ms), "{retry_ms}");
    }
    let before = client.reconnections();
    eventually("the client to come back in vain", SOON, async || {
        let event = timeout(Duration::from_millis(50), client.event()).await;
        assert!(!matches!(event, Ok(Ok(_))), "an event without a gateway");
        client.reconnections() >= before + 3
    })
    .await
    .unwrap();
    for number in ["2", "3", "4"] {
        site.publish(number).await;
    }
    site.restart_gateways().await;
    let events = eventually("the client to be in a stream again", SOON, async || client.events(3).await);
    assert_eq!(data(&events.await.unwrap()), ["2", "3", "4"]);
    site.publish("5").await;
    assert_eq!(client.event().await.unwrap().data, "5");
    assert_eq!(client.controls(), []);
}

async fn a_browser_comes_back_when_all_gateways_were_away(kind: Kind) {
    let Some(mut site) = Site::start(kind).await else { return };
    let url = format!("http://{}/v1/events?topic=a&since=earliest", site.front.address());
    let Some(mut browser) = Browser::listen(&url, &["sluice.gap"]).await else { return };
    let mut passed = Vec::new();
    site.publish("1").await;
    assert_eq!(browser.until("event message", &mut passed).await.data, "1");
    site.kill_gateways();
    // Cut off, then told to come back by the proxy: an error of each.
    for _ in 0..3 {
        assert_eq!(browser.until("error", &mut passed).await.state, CONNECTING);
    }
    site.publish("2").await;
    site.restart_gateways().await;
    assert_eq!(browser.until("event message", &mut passed).await.data, "2");
    site.publish("3").await;
    assert_eq!(browser.until("event message", &mut passed).await.data, "3");
    let gaps: Vec<&Report> = passed.iter().filter(|report| report.what == "event sluice.gap").collect();
    assert_eq!(gaps, Vec::<&Report>::new());
}

async fn a_gateway_that_is_gone_is_passed_over(kind: Kind) {
    let Some(mut site) = Site::start(kind).await else { return };
    site.gateways[0].kill().unwrap();
    for _ in 0..10 {
        let stream = open(site.front.address(), &["a"], &SseOptions::default()).await;
        assert!(!stream.last_event_id().is_empty());
    }
}

/// What is not a browser's EventSource can tell by the status that nothing was done.
async fn only_browsers_are_told_to_come_back(kind: Kind) {
    let Some(mut site) = Site::start(kind).await else { return };
    site.kill_gateways();
    site.publisher.kill().unwrap();
    let (browser, any) = (("accept", "text/event-stream"), ("accept", "*/*"));
    let text = ("content-type", "text/plain");
    for (method, path, headers) in [
        ("GET", "/v1/events?topic=a", vec![any]),
        ("GET", "/v1/topics/a/events", vec![any]),
        ("GET", "/v1/topics/a/events", vec![browser]),
        ("POST", "/v1/topics/a/events", vec![text, browser]),
        ("POST", "/v1/events", vec![text, browser]),
    ] {
        let answer = request(site.front.address(), method, path, &headers, "").await.unwrap();
        assert_eq!(answer.status, 503, "{method} {path} {headers:?}: {}", answer.text());
    }
}

/// A producer that streams lines must not wait for the end of its own request.
async fn a_line_is_published_before_its_request_ends(kind: Kind) {
    let Some(site) = Site::start(kind).await else { return };
    let mut stream = open(site.front.address(), &["a"], &SseOptions::default()).await;
    let mut producer = RawConnection::connect(site.front.address()).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: sluice\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n";
    producer.send(head).await.unwrap();
    for number in ["1", "2", "3"] {
        let line = format!("{}\n", json!({"topic": "a", "data": number}));
        producer.send(format!("{:x}\r\n{line}\r\n", line.len())).await.unwrap();
        assert_eq!(stream.event().await.unwrap().data, number);
    }
    producer.send("0\r\n\r\n").await.unwrap();
    let head = String::from_utf8(producer.read_until("\r\n\r\n").await.unwrap()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

/// Limits by address count clients, not the proxy.
async fn nodes_learn_the_address_of_the_client(kind: Kind) {
    let limits = [
        ("SLUICE_LISTEN__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#),
        ("SLUICE_LIMITS__STREAMS_PER_ADDRESS_MAX", "2"),
    ];
    let Some(site) = Site::start_with(kind, &limits).await else { return };
    let from = |address: &str| SseOptions {
        headers: vec![("x-forwarded-for".to_owned(), address.to_owned())],
        ..SseOptions::default()
    };
    // Streams of one client spread over both gateways: at most two on each.
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(open(site.front.address(), &["a"], &from("192.0.2.7")).await);
    }
    let mut shed = SseStream::open(site.front.address(), &["a"], &from("192.0.2.7")).await.unwrap();
    let seen = eventually("the fifth stream to be shed", SOON, async || {
        shed.next()
            .await
            .ok()
            .flatten()
            .filter(|item| matches!(item, Item::Event(event) if event.event_type == "sluice.shed"))
    });
    seen.await.unwrap();
    streams.push(open(site.front.address(), &["a"], &from("192.0.2.8")).await);
}

/// As many topics as have a cursor of 10 KiB.
async fn a_long_cursor_comes_through(kind: Kind) {
    let Some(site) = Site::start(kind).await else { return };
    let options = behind(&"x".repeat(12 << 10));
    let mut stream = SseStream::open(site.front.address(), &["a"], &options).await.unwrap();
    assert_eq!(stream.status(), 200);
    let gap = eventually("the cursor to be judged", SOON, async || {
        stream
            .next()
            .await
            .ok()
            .flatten()
            .filter(|item| matches!(item, Item::Event(event) if event.data.contains("unknown-cursor")))
    });
    gap.await.unwrap();
}

/// A publisher that refuses a request by its head has not read its body; the proxy must get the answer all the same.
async fn an_early_answer_to_a_large_body_comes_through(kind: Kind) {
    let Some(site) = Site::start(kind).await else { return };
    let image = ("content-type", "image/png");
    let body = "x".repeat(4 << 20);
    for _ in 0..20 {
        let answer =
            request(site.front.address(), "POST", "/v1/topics/a/events", &[image], body.clone()).await;
        assert_eq!(answer.unwrap().status, 415);
    }
}

/// Each behaviour, behind each proxy.
macro_rules! behind_each_proxy {
    ($($behaviour:ident),+ $(,)?) => {
        mod nginx {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(super::Kind::Nginx).await;
            })+
        }
        mod haproxy {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(super::Kind::Haproxy).await;
            })+
        }
    };
}

behind_each_proxy!(
    streams_come_back_when_all_gateways_were_away,
    a_browser_comes_back_when_all_gateways_were_away,
    a_gateway_that_is_gone_is_passed_over,
    only_browsers_are_told_to_come_back,
    a_line_is_published_before_its_request_ends,
    nodes_learn_the_address_of_the_client,
    a_long_cursor_comes_through,
    an_early_answer_to_a_large_body_comes_through,
);

/// Installs neither: `make proxies` does.
macro_rules! behind_documented_proxies {
    ($($behaviour:ident),+ $(,)?) => {
        mod envoy {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "installs Envoy: make proxies"]
            async fn $behaviour() {
                super::$behaviour(super::Kind::Envoy).await;
            })+
        }
        mod traefik {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "installs Traefik: make proxies"]
            async fn $behaviour() {
                super::$behaviour(super::Kind::Traefik).await;
            })+
        }
    };
}

behind_documented_proxies!(
    streams_come_back_when_all_gateways_were_away,
    a_browser_comes_back_when_all_gateways_were_away,
    a_long_cursor_comes_through,
);
