//! What most tests begin with: one redis-server, two gateways, a publisher, all real processes.

use std::net::SocketAddr;
use std::time::Duration;

use sluice_testkit::{Ledger, Node, NodeBuilder, RedisServer, Role, SseOptions, SseStream, publish_http};
use sluice_wire::EventId;

/// The binary under test.
pub(crate) const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");

/// Longer than anything takes that works, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Two gateways and a publisher on one Redis.
pub(crate) struct Cluster {
    /// Ahead of Redis: fields drop in order, and nodes go first.
    pub(crate) gateways: [Node; 2],
    pub(crate) publisher: Node,
    pub(crate) redis: RedisServer,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(|gateway| gateway).await
    }

    /// Gateways as `settle` makes them.
    pub(crate) async fn start_with(settle: impl Fn(NodeBuilder) -> NodeBuilder) -> Self {
        let redis = RedisServer::start().await.unwrap();
        let gateway = || settle(gateway(&redis.url())).spawn();
        let publisher = publisher(&redis.url()).spawn();
        let (first, second, publisher) = tokio::join!(gateway(), gateway(), publisher);
        Self { gateways: [first.unwrap(), second.unwrap()], publisher: publisher.unwrap(), redis }
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        self.gateways.each_ref().map(Node::addr)
    }

    /// Publishes by HTTP.
    pub(crate) async fn publish(&self, topic: &str, data: &str) -> EventId {
        publish_http(self.publisher.publisher_addr(), topic, data).await.unwrap()
    }

    /// Publishes the next event of a ledger by HTTP and enters its id.
    pub(crate) async fn publish_entered(&self, ledger: &Ledger, topic: &str) -> EventId {
        let publication = ledger.publish(topic);
        let id = self.publish(topic, &publication.payload).await;
        ledger.acknowledge(&publication, id);
        id
    }

    /// Opens a stream on a gateway and waits for its first cursor: what is published from then on must come.
    pub(crate) async fn stream(&self, gateway: usize, topics: &[&str], options: &SseOptions) -> SseStream {
        open(self.gateways[gateway].addr(), topics, options).await
    }
}

pub(crate) fn gateway(redis: &str) -> NodeBuilder {
    Node::builder(SLUICE, Role::Gateway).redis(redis)
}

pub(crate) fn publisher(redis: &str) -> NodeBuilder {
    Node::builder(SLUICE, Role::Publisher).redis(redis)
}

/// Opens a stream and waits for its first cursor.
pub(crate) async fn open(address: SocketAddr, topics: &[&str], options: &SseOptions) -> SseStream {
    let mut stream = SseStream::open(address, topics, options).await.unwrap();
    assert_eq!(stream.status(), 200);
    let before = options.last_event_id.as_str();
    while stream.last_event_id().is_empty() || stream.last_event_id() == before {
        let item = stream.next().await.unwrap().expect("the stream ended before its first cursor");
        if matches!(item, sluice_testkit::Item::Id(_)) {
            break;
        }
        assert!(!matches!(item, sluice_testkit::Item::Event(_)), "{item:?} came before any cursor");
    }
    stream
}

pub(crate) fn behind(cursor: &str) -> SseOptions {
    SseOptions { last_event_id: cursor.to_owned(), ..SseOptions::default() }
}

pub(crate) fn since(text: &str) -> SseOptions {
    SseOptions { since: Some(text.to_owned()), ..SseOptions::default() }
}

/// The payloads of events, in order.
pub(crate) fn data(events: &[sluice_testkit::Received]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}
