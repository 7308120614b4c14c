//! A gateway on a port of its own, and what is written to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::routing::get;
use sluice_access::{Access, ClientAddress, Grants, Identity};
use sluice_broker::{Broker, BrokerSettings, MemoryBroker};
use sluice_gateway::{Ends, Gateway, GatewaySettings, GatewayStatus, ListenerSettings};
use sluice_testkit::{RawConnection, eventually};
use sluice_wire::{EventId, NewEvent, Topic};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longer than anything takes that works, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A gateway that serves; it stops with its value.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) address: SocketAddr,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) leaving: CancellationToken,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A gateway with settings as `settle` leaves them.
    pub(crate) async fn start_with(settle: impl FnOnce(&mut GatewaySettings)) -> Self {
        Self::start_on(settle, ListenerSettings::default()).await
    }

    /// A gateway with a listener of its own kind.
    pub(crate) async fn listening(listener: ListenerSettings) -> Self {
        Self::start_on(|_| {}, listener).await
    }

    /// Both.
    pub(crate) async fn start_on(
        settle: impl FnOnce(&mut GatewaySettings),
        listening: ListenerSettings,
    ) -> Self {
        let tracker = TaskTracker::new();
        let broker = MemoryBroker::new(BrokerSettings::new("memory://".parse().unwrap()), tracker.clone());
        Self::start_before(Arc::new(broker), tracker, settle, listening).await
    }

    /// Both, before a broker of the caller's.
    pub(crate) async fn start_before(
        broker: Arc<dyn Broker>,
        tracker: TaskTracker,
        settle: impl FnOnce(&mut GatewaySettings),
        listening: ListenerSettings,
    ) -> Self {
        let access = Access::open(vec!["**".parse().unwrap()], Vec::new());
        let mut settings = GatewaySettings { access, ..Default::default() };
        settings.streams.shards = 2;
        settings.follower.linger = Duration::ZERO;
        settle(&mut settings);
        let stop = CancellationToken::new();
        let leaving = stop.child_token();
        let gateway = Gateway::start(broker.clone(), settings.clone(), &tracker, &stop).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = gateway.router().route("/address", get(address_of_client));
        let router = router.layer(axum::middleware::map_request(identify));
        let router = sluice_gateway::finish(router, &settings.cors, sluice_gateway::Serves::Streams);
        let serving = tracker.clone();
        let ends = Ends { leaving: leaving.clone(), stop: stop.clone() };
        tracker.spawn(async move {
            sluice_gateway::serve(listener, router, listening, &serving, ends).await;
        });
        let stage = Self { gateway, broker, address, tracker, stop, leaving };
        stage.reach("the follower to be live", |status| status.follower.live).await;
        stage
    }

    pub(crate) async fn publish(&self, topic: &str, data: &str) -> EventId {
        let event = NewEvent::new(Topic::parse(topic).unwrap(), data.to_owned());
        self.broker.append(&[event]).await.remove(0).unwrap().id
    }

    /// Waits until the gateway's status is as `wanted`.
    pub(crate) async fn reach(&self, what: &str, wanted: impl Fn(&GatewayStatus) -> bool) {
        eventually(what, SOON, async || {
            let status = self.gateway.status();
            if wanted(&status) { Ok(()) } else { Err(anyhow::anyhow!("{status:?}")) }
        })
        .await
        .unwrap();
    }

    /// Waits until nothing is left of any stream.
    pub(crate) async fn empty(&self) {
        self.reach("nothing left of the streams", |status| {
            let shards = &status.shards;
            (status.streams, status.feeds, status.topics, shards.streams, shards.feeds) == (0, 0, 0, 0, 0)
        })
        .await;
    }

    /// A stream of `topic` on a fresh connection, with all bytes up to its first cursor read.
    pub(crate) async fn stream(&self, topic: &str) -> RawConnection {
        let mut connection = RawConnection::connect(self.address).await.unwrap();
        connection.send(get_stream(topic)).await.unwrap();
        greeting(&mut connection).await;
        connection
    }

    /// Ends the streams there are; others may come.
    pub(crate) async fn gateway_ends_streams(&self) {
        self.gateway.drain(Duration::ZERO, &CancellationToken::new()).await;
    }

    /// Ends the streams as a node does that leaves.
    pub(crate) async fn drain(&self) {
        self.leaving.cancel();
        self.gateway.drain(Duration::ZERO, &CancellationToken::new()).await;
    }
}

/// What the handlers of a listener are told of the client.
async fn address_of_client(Extension(ClientAddress(address)): Extension<ClientAddress>) -> String {
    address.to_string()
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Takes a client for whom it says it is, by header.
async fn identify(mut request: axum::extract::Request) -> axum::extract::Request {
    let said = |name| request.headers().get(name).map(|value| value.to_str().unwrap().into());
    let (subject, token_id) = (said("x-subject"), said("x-token-id"));
    let grants = Arc::new(Grants { subscribe: vec!["**".parse().unwrap()], ..Grants::default() });
    let identity = Identity { subject, token_id, ..Identity::anonymous(grants) };
    request.extensions_mut().insert(identity);
    request
}

/// A request for a stream of somebody.
pub(crate) fn get_stream_as(subject: &str, topic: &str) -> String {
    get_stream(topic).replacen(
        "host: test",
        &format!("host: test\r\nx-subject: {subject}\r\nx-token-id: {subject}-1"),
        1,
    )
}

pub(crate) fn get_stream(topic: &str) -> String {
    format!("GET /v1/events?topic={topic} HTTP/1.1\r\nhost: test\r\naccept: text/event-stream\r\n\r\n")
}

pub(crate) fn get_history(topic: &str) -> String {
    format!("GET /v1/topics/{topic}/events?limit=1000 HTTP/1.1\r\nhost: test\r\n\r\n")
}

/// Reads the head of an answer.
pub(crate) async fn head(connection: &mut RawConnection) -> String {
    String::from_utf8(connection.read_until("\r\n\r\n").await.unwrap()).unwrap()
}

/// The values of a header field, by lower-case name.
pub(crate) fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| *field == name).map(|(_, value)| value).collect()
}

/// Reads a whole answer with a length: its head and its body.
pub(crate) async fn answer(connection: &mut RawConnection) -> (String, Vec<u8>) {
    let head = head(connection).await;
    let length = fields(&head, "content-length")[0].parse().unwrap();
    let body = connection.read_exact(length).await.unwrap();
    (head, body)
}

/// Reads the head of a stream and its first frame; the head.
pub(crate) async fn greeting(connection: &mut RawConnection) -> String {
    let head = head(connection).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    connection.read_until("\nid: ").await.unwrap();
    connection.read_until("\n\n\r\n").await.unwrap();
    head
}

/// Reads up to and with an event of this data.
pub(crate) async fn event(connection: &mut RawConnection, data: &str) -> String {
    let read = connection.read_until(format!("data: {data}\n\n")).await.unwrap();
    String::from_utf8(read).unwrap()
}

/// Takes chunks apart, from the first to the last one; panics at anything else.
pub(crate) fn dechunked(mut bytes: &[u8]) -> String {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a chunk size");
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let (chunk, rest) = bytes[end + 2..].split_at(size);
        assert!(rest.starts_with(b"\r\n"), "a chunk's end");
        body.extend_from_slice(chunk);
        bytes = &rest[2..];
        if size == 0 {
            assert!(bytes.is_empty(), "behind the last chunk: {:?}", String::from_utf8_lossy(bytes));
            return String::from_utf8(body).unwrap();
        }
    }
}
