//! A client that has the head of its stream is given every event that is published from then on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use sluice_broker::{Broker, BrokerSettings, RedisBroker};
use sluice_gateway::ListenerSettings;
use sluice_testkit::{Direction, Proxy, RawConnection, RedisServer};
use sluice_wire::{NewEvent, Topic};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::task::TaskTracker;

use crate::secure::{Secure, read_until};
use crate::stage::{SOON, Stage, get_stream, head};

/// How far away Redis is from the gateway. Publishers are next to it.
const FAR: Duration = Duration::from_millis(10);
const ROUNDS: usize = 100;

/// A Redis, and the gateway's way to it.
struct Distant {
    proxy: Proxy,
    publisher: RedisBroker,
    _redis: RedisServer,
}

impl Distant {
    async fn start() -> Self {
        let redis = RedisServer::start().await.unwrap();
        let proxy = Proxy::start(redis.addr()).await.unwrap();
        proxy.delay(FAR);
        let settings = BrokerSettings::new(redis.url().parse().unwrap());
        let publisher = RedisBroker::new(settings, TaskTracker::new()).unwrap();
        Self { proxy, publisher, _redis: redis }
    }

    /// What a gateway reads and follows.
    fn broker(&self, tracker: &TaskTracker) -> Arc<dyn Broker> {
        let url = format!("redis://{}", self.proxy.addr());
        let settings = BrokerSettings::new(url.parse().unwrap());
        Arc::new(RedisBroker::new(settings, tracker.clone()).unwrap())
    }

    async fn gateway(&self) -> Stage {
        let tracker = TaskTracker::new();
        let listener = ListenerSettings::default();
        Stage::start_before(self.broker(&tracker), tracker, |_| {}, listener).await
    }

    async fn secure_gateway(&self) -> Secure {
        let tracker = TaskTracker::new();
        Secure::start_before(self.broker(&tracker), tracker, |_| {}, false, |_| {}).await
    }

    async fn publish(&self, topic: &str, data: &str) {
        let event = NewEvent::new(Topic::parse(topic).unwrap(), data.to_owned());
        self.publisher.append(&[event]).await.remove(0).unwrap();
    }
}

/// Topics that the node follows already, and others.
fn topic_of(round: usize) -> String {
    if round.is_multiple_of(2) { format!("new/{round}") } else { "known".to_owned() }
}

/// Reads the head alone: not a byte of what may come with it is looked at.
async fn read_head<I: AsyncRead + Unpin>(io: &mut I) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(SOON, io.read_u8()).await.expect("a head").unwrap();
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_http_1_whoever_has_the_head_misses_nothing() {
    let distant = Distant::start().await;
    let stage = distant.gateway().await;
    let _known = stage.stream("known").await;
    for round in 0..ROUNDS {
        let (topic, data) = (topic_of(round), format!("round {round}"));
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(get_stream(&topic)).await.unwrap();
        read_head(connection.stream()).await;
        distant.publish(&topic, &data).await;
        connection.read_until(format!("data: {data}\n\n")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_http_1_and_tls_whoever_has_the_head_misses_nothing() {
    let distant = Distant::start().await;
    let secure = distant.secure_gateway().await;
    for round in 0..ROUNDS {
        let (topic, data) = (topic_of(round), format!("round {round}"));
        let mut connection = secure.connect(&["http/1.1"]).await.unwrap();
        connection.write_all(get_stream(&topic).as_bytes()).await.unwrap();
        read_head(&mut connection).await;
        distant.publish(&topic, &data).await;
        read_until(&mut connection, &format!("data: {data}\n\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_http_2_whoever_has_the_head_misses_nothing() {
    let distant = Distant::start().await;
    let secure = distant.secure_gateway().await;
    let mut requests = secure.http2().await;
    for round in 0..ROUNDS {
        let (topic, data) = (topic_of(round), format!("round {round}"));
        let request = Request::get(format!("https://localhost/v1/events?topic={topic}")).body(()).unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        let mut body = tokio::time::timeout(SOON, answer).await.expect("an answer").unwrap().into_body();
        distant.publish(&topic, &data).await;
        let mut read = String::new();
        while !read.contains(&format!("data: {data}\n\n")) {
            let more = tokio::time::timeout(SOON, body.data()).await;
            let more = more.unwrap_or_else(|_| panic!("{data} after {read:?}")).expect("no end").unwrap();
            body.flow_control().release_capacity(more.len()).unwrap();
            read.push_str(std::str::from_utf8(&more).unwrap());
        }
    }
}

/// `since=last:0` and moments are where the log ends at the time of the head, not when it was found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_redis_must_tell_is_fixed_before_the_head_too() {
    let distant = Distant::start().await;
    let stage = distant.gateway().await;
    for (round, since) in ["last:0", "0s", "last:1", "1s"].iter().cycle().take(40).enumerate() {
        let (topic, data) = (format!("since/{round}"), format!("round {round}"));
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        connection.send(get_stream(&format!("{topic}&since={since}"))).await.unwrap();
        read_head(connection.stream()).await;
        for part in 0..3 {
            distant.publish(&topic, &format!("{data}.{part}")).await;
        }
        for part in 0..3 {
            connection.read_until(format!("data: {data}.{part}\n\n")).await.unwrap();
        }
    }
}

/// The head is not held back for long: its client is told that the node is stale, and still misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_does_not_answer_the_head_goes_out_and_nothing_is_missed() {
    let distant = Distant::start().await;
    let stage = distant.gateway().await;
    distant.proxy.delay(Duration::ZERO);
    distant.proxy.swallow(Direction::ToClient);
    let mut connections = Vec::new();
    for query in ["a", "b&since=last:0", "c&topic=d", "a&since=0s"] {
        let mut connection = RawConnection::connect(stage.address).await.unwrap();
        let asked = Instant::now();
        connection.send(get_stream(query)).await.unwrap();
        let head = head(&mut connection).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(asked.elapsed() < SOON / 3, "{query} had its head after {:?}", asked.elapsed());
        let opening = connection.read_until("event: sluice.stale\ndata: {}\n\n").await.unwrap();
        assert!(String::from_utf8(opening).unwrap().contains("\nid: "), "a cursor to come back with");
        connections.push(connection);
    }
    for topic in ["a", "b", "c", "d"] {
        distant.publish(topic, &format!("missed by {topic}")).await;
    }
    distant.proxy.restore().await.unwrap();
    for (connection, topic) in connections.iter_mut().zip(["a", "b", "d", "a"]) {
        connection.read_until(format!("data: missed by {topic}\n\n")).await.unwrap();
    }
    for topic in ["a", "b", "c"] {
        distant.publish(topic, "after all").await;
    }
    for connection in &mut connections {
        connection.read_until("data: after all\n\n").await.unwrap();
    }
}

/// The first frame holds a cursor of the place where the stream began, so that whoever leaves at once loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cursor_of_a_head_without_an_answer_is_one_to_come_back_with() {
    let distant = Distant::start().await;
    let stage = distant.gateway().await;
    distant.proxy.swallow(Direction::ToClient);
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(get_stream("a")).await.unwrap();
    let opening = connection.read_until("event: sluice.stale").await.unwrap();
    let opening = String::from_utf8(opening).unwrap();
    let cursor = opening.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(connection);
    distant.publish("a", "meanwhile").await;
    distant.proxy.restore().await.unwrap();
    let mut connection = RawConnection::connect(stage.address).await.unwrap();
    connection.send(get_stream(&format!("a&last_event_id={cursor}"))).await.unwrap();
    let read = connection.read_until("data: meanwhile\n\n").await.unwrap();
    assert!(!String::from_utf8(read).unwrap().contains("sluice.gap"));
}
