//! A rolling upgrade over a change of the cursor's version: two builds behind one balancer, and clients that
//! hold the standard to the letter.

mod balancer;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sluice_testkit::{Item, Node, RedisServer, Resuming, Role, SseOptions, SseStream, publish_http};

use self::balancer::Balancer;
use crate::stage::{SLUICE, SOON, behind, gateway, publisher};

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// The build that writes the next version and has drills; `make test` makes it, and then it must be there.
pub(crate) fn next_build() -> Option<PathBuf> {
    let path = Path::new(SLUICE).with_file_name("sluice-next-cursor");
    if path.exists() {
        return Some(path);
    }
    let how = "cargo build -p sluice --bin sluice-next-cursor --features next-cursor";
    assert!(std::env::var_os("NEXT_CURSOR").is_none(), "{} is not there: {how}", path.display());
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} is not there: {how}", path.display());
    None
}

/// An old node, a new one and a balancer before them, on one Redis.
struct Upgrade {
    new: Node,
    old: Node,
    balancer: Balancer,
    publisher: Node,
    redis: RedisServer,
    published: usize,
}

impl Upgrade {
    async fn start(next_build: &Path) -> Self {
        let redis = RedisServer::start().await.unwrap();
        let new = Node::builder(next_build, Role::Gateway).redis(&redis.url()).spawn();
        let old = gateway(&redis.url()).spawn();
        let publisher = publisher(&redis.url()).spawn();
        let (new, old, publisher) = tokio::join!(new, old, publisher);
        let (new, old, publisher) = (new.unwrap(), old.unwrap(), publisher.unwrap());
        let balancer = Balancer::start(&[old.addr(), new.addr()]).await;
        Self { new, old, balancer, publisher, redis, published: 0 }
    }

    /// A client that has its first cursor.
    async fn client(&self) -> Follower {
        let mut stream = Resuming::new(&[self.balancer.address()], &TOPICS, SseOptions::default());
        stream.connect().await.unwrap();
        Follower { stream, seen: BTreeMap::new() }
    }

    /// The next event of each topic.
    async fn publish(&mut self) {
        self.published += 1;
        for topic in TOPICS {
            let text = self.published.to_string();
            publish_http(self.publisher.publisher_addr(), topic, &format!("{topic} {text}")).await.unwrap();
        }
    }
}

struct Follower {
    stream: Resuming,
    seen: BTreeMap<String, usize>,
}

impl Follower {
    /// Takes the next event of each topic: the one behind the last, no other.
    async fn take_round(&mut self) {
        for _ in TOPICS {
            let event = self.stream.event().await.unwrap();
            let (topic, number) = event.data.split_once(' ').unwrap();
            let last = self.seen.entry(topic.to_owned()).or_default();
            assert_eq!(number.parse::<usize>().unwrap(), *last + 1, "of {topic}");
            *last += 1;
        }
    }

    fn version(&self) -> &str {
        self.stream.last_event_id().split_once('.').unwrap().0
    }

    fn count(&self, control: &str) -> usize {
        self.stream.controls().iter().filter(|event| event.event_type == control).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_end_on_the_new_build_and_nothing_is_lost_or_repeated() {
    let Some(next_build) = next_build() else { return };
    let mut upgrade = Upgrade::start(&next_build).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(upgrade.client().await);
    }
    let versions: Vec<_> = clients.iter().map(|client| client.version().to_owned()).collect();
    assert!(versions.iter().any(|v| v == "v1") && versions.iter().any(|v| v == "v2"), "{versions:?}");
    for round in 0.. {
        upgrade.publish().await;
        for client in &mut clients {
            // Others connect, too: in strict turns somebody could come to the same node for ever.
            if fastrand::bool() {
                upgrade.balancer.skip_turn();
            }
            client.take_round().await;
            client.stream.drop_connection();
        }
        // Nobody who has come to the new build once goes back.
        if round >= 8 && clients.iter().all(|client| client.version() == "v2") {
            break;
        }
        assert!(round < 100, "somebody never came to the new node");
    }
    assert_eq!(clients.iter().map(|client| client.count("sluice.gap")).sum::<usize>(), 0);
    let shed: usize = clients.iter().map(|client| client.count("sluice.shed")).sum();
    assert!(shed > 0, "no newer cursor came to the old node");
    let refused = upgrade.old.metric("sluice_admission_refused_total").await.unwrap();
    let counted = f64::from(u32::try_from(shed).unwrap());
    assert_eq!(refused, Some(counted), "each was shed with a 200, and counted");
    let refused = upgrade.new.metric("sluice_admission_refused_total").await.unwrap();
    assert!(refused.is_none_or(|count| count < 1.0), "the new node reads both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_back_that_went_too_far_loses_nothing_once_a_node_reads_the_cursor_again() {
    let Some(next_build) = next_build() else { return };
    let mut upgrade = Upgrade::start(&next_build).await;
    let mut client = upgrade.client().await;
    while client.version() != "v2" {
        upgrade.publish().await;
        client.take_round().await;
        client.stream.drop_connection();
        client.stream.connect().await.unwrap();
    }
    let cursor = client.stream.last_event_id().to_owned();
    assert_eq!(upgrade.new.terminate(SOON).await.unwrap(), 0);
    upgrade.balancer.turn_to(&[upgrade.old.addr()]);
    upgrade.publish().await;
    // The old node sends it away with what it came with, however often it comes.
    for _ in 0..3 {
        let mut stream =
            SseStream::open(upgrade.balancer.address(), &TOPICS, &behind(&cursor)).await.unwrap();
        assert_eq!(stream.status(), 200);
        let items = stream.end().await.unwrap();
        let said = items.iter().find_map(|item| match item {
            Item::Event(event) => Some((event.event_type.as_str(), event.last_event_id.as_str())),
            _ => None,
        });
        assert_eq!(said, Some(("sluice.shed", cursor.as_str())));
    }
    let read_again = Node::builder(&next_build, Role::Gateway).redis(&upgrade.redis.url()).spawn().await;
    upgrade.new = read_again.unwrap();
    upgrade.balancer.turn_to(&[upgrade.old.addr(), upgrade.new.addr()]);
    upgrade.publish().await;
    client.take_round().await;
    client.take_round().await;
    assert_eq!(client.count("sluice.gap"), 0);
}
