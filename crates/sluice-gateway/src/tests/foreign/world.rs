//! The nodes, clients and foreign hands of a history, and that it ends well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{
    Broker as _, BrokerSettings, BrokerUrl, ForeignWrite, MemoryBroker, Retention, RetentionPolicies,
};
use sluice_testkit::{Books, Duty};
use sluice_wire::{Event, EventId, NewEvent};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::op::{Id, Op, Previous, Setting};
use crate::settings::OnLag;
use crate::tests::faults::{Badness, Faulty};
use crate::tests::ledger::{TOPICS, topic};
use crate::tests::node::Node;
use crate::tests::world::{UNITS, on_virtual_clock, virtual_ms};

/// The last event reaches everybody within this time of the test's clock.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
/// Reads of logs in a quiet second of the test's clock, by both nodes: tail checks, 25 a second for each batch of two
/// topics, with what confirms them.
const READS_MAX: u64 = 400;
/// Gaps that one client may be told of one topic in one history.
const GAPS_MAX: usize = 200;

struct World {
    broker: Arc<MemoryBroker>,
    ways: [Faulty; 2],
    nodes: [Node; 2],
    books: Books,
    clients: Vec<Client>,
    tracker: TaskTracker,
}

/// Plays `ops` and lets everybody read to the end; what was wrong.
pub(super) fn run(setting: &Setting, ops: &[Op]) -> Result<(), String> {
    fastrand::seed(setting.seed);
    on_virtual_clock(async |_| {
        let mut world = World::new(setting);
        for op in ops {
            world.step(*op).await;
        }
        world.finish().await
    })
}

impl World {
    fn new(setting: &Setting) -> Self {
        let tracker = TaskTracker::new();
        let idle_max = setting.idle_ms.map(|ms| Duration::from_millis(ms * UNITS));
        let retention = Retention { events_max: setting.retained, idle_max, ..Retention::UNLIMITED };
        let retention = RetentionPolicies::uniform(retention);
        let settings = BrokerSettings { retention, ..BrokerSettings::new(BrokerUrl::memory()) };
        let broker = Arc::new(MemoryBroker::new(settings, tracker.clone()).on_clock(virtual_ms));
        let ways = [0, 1].map(|number| {
            let (lost_percent, slow_ms) = (setting.lost_percent[number], setting.slow_ms[number]);
            let badness = Badness { lost_percent, doubled_percent: lost_percent, slow_ms };
            Faulty::new(broker.clone(), badness, setting.seed.wrapping_add(number as u64))
        });
        let start =
            |number: usize| Node::start(Arc::new(ways[number].clone()), OnLag::CatchUp, 64 << 20, &tracker);
        let nodes = [0, 1].map(start);
        Self { broker, ways, nodes, books: Books::default(), clients: Vec::new(), tracker }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Publish { topic, count } => {
                for _ in 0..count {
                    self.publish(topic).await;
                }
            }
            Op::Wait { ms: 0 } => yield_now().await,
            Op::Wait { ms } => sleep(Duration::from_millis(ms)).await,
            Op::Open { node, topics, begin } => {
                let topics = TOPICS.iter().enumerate().filter(|(index, _)| topics >> index & 1 == 1);
                let topics: Vec<_> = topics.map(|(_, name)| (*name).to_owned()).collect();
                let name = format!("client {} of {}, {begin:?}", self.clients.len(), topics.join("+"));
                let mut client = Client::new(self.books.client(&name, &topics), topics, begin);
                client.open(&self.nodes[node]);
                self.clients.push(client);
            }
            Op::Read { client, pieces } => {
                let Some(client) = pick(&mut self.clients, client) else { return };
                for _ in 0..pieces {
                    client.read().await;
                    yield_now().await;
                }
            }
            Op::Drop { client } => {
                if let Some(client) = pick(&mut self.clients, client) {
                    client.leave();
                }
            }
            Op::Resume { client, node } => {
                if let Some(client) = pick(&mut self.clients, client) {
                    client.open(&self.nodes[node]);
                }
            }
            Op::Cut { node } => self.ways[node].cut(),
            Op::Heal { node } => self.ways[node].heal(),
            Op::Hold { node } => self.ways[node].hold(),
            Op::Release { node } => self.ways[node].release(),
            Op::Fail { node, times } => self.ways[node].fail(times),
            Op::Beat { node } => self.nodes[node].beat(),
            _ => self.write(op),
        }
    }

    /// Publishes as Sluice does; the event's number, unless the key is no log.
    async fn publish(&self, index: usize) -> Option<usize> {
        let (number, payload) = self.books.write(TOPICS[index], Duty::Deliver);
        self.books.attempt(TOPICS[index], number);
        let appended = self.broker.append(&[NewEvent::new(topic(index), payload)]).await.remove(0).ok()?;
        self.books.acknowledge(TOPICS[index], number, appended.id);
        Some(number)
    }

    /// Writes as somebody else does.
    fn write(&self, op: Op) {
        let foreign = |index: usize, write| self.broker.write_foreign(&topic(index), write);
        match op {
            Op::Add { topic: index, id, event } => {
                let id = self.id(index, id);
                // What is gone again before anybody looks was never there: nothing announces it.
                let duty = if event { Duty::DeliverIfKept } else { Duty::Skip };
                let (number, payload) = self.books.write(TOPICS[index], duty);
                self.books.attempt(TOPICS[index], number);
                let data = event.then(|| payload.into());
                if foreign(index, ForeignWrite::Add { id, data }) {
                    self.books.acknowledge(TOPICS[index], number, id);
                }
            }
            Op::Delete { topic: index, place } => {
                let ids = self.broker.ids(&topic(index));
                if let Some(id) = ids.iter().rev().nth(place) {
                    self.books.remove(TOPICS[index], *id);
                    foreign(index, ForeignWrite::Delete(*id));
                }
            }
            Op::Trim { topic, keep } => _ = foreign(topic, ForeignWrite::Trim(keep)),
            Op::Lose { topic, kept } => _ = foreign(topic, ForeignWrite::Drop(kept)),
            Op::Keep { topic } => _ = foreign(topic, ForeignWrite::Keep),
            Op::PutBack { topic } => _ = foreign(topic, ForeignWrite::PutBack),
            Op::SetLast { topic, id } => _ = foreign(topic, ForeignWrite::SetLast(self.id(topic, id))),
            Op::WrongType { topic, wrong } => _ = foreign(topic, ForeignWrite::WrongType(wrong)),
            Op::Forge { topic, id, previous } => {
                let last = self.last(topic);
                let prev = match previous {
                    Previous::None => None,
                    Previous::Last => Some(last),
                    Previous::Wrong => Some(last.before()),
                };
                let data = "forged".into();
                let event = Event { id: self.id(topic, id), prev, event_type: None, data, traceparent: None };
                foreign(topic, ForeignWrite::Forge(event));
            }
            Op::Garbage { topic } => _ = foreign(topic, ForeignWrite::Garbage),
            _ => panic!("{op:?} writes nothing"),
        }
    }

    fn last(&self, index: usize) -> EventId {
        self.broker.ids(&topic(index)).last().copied().unwrap_or_default()
    }

    /// An id of this topic alone: the embedded broker gives none twice.
    fn id(&self, index: usize, id: Id) -> EventId {
        const FAR_MS: u64 = 100_000 * UNITS;
        let seq = 1_000_000 * (index as u64 + 1);
        match id {
            Id::Now => EventId::new(virtual_ms(), seq),
            Id::Next => self.last(index).after(),
            Id::Beginning => EventId::new(5, seq),
            Id::Past => EventId::new(virtual_ms() - FAR_MS, seq),
            Id::Ahead => EventId::new(virtual_ms() + FAR_MS, seq),
            Id::Huge => EventId::new(u64::MAX, seq),
            Id::Greatest => EventId::new(u64::MAX, u64::MAX - index as u64),
        }
    }

    /// Ends every fault and makes the keys sane; a last event to each topic, which everybody gets.
    async fn finish(mut self) -> Result<(), String> {
        self.ways.iter().for_each(Faulty::behave);
        for (number, client) in self.clients.iter_mut().enumerate() {
            if !client.is_open() {
                client.open(&self.nodes[number % 2]);
            }
        }
        self.make_sane();
        if !self.read_until(|world| world.clients.iter().all(Client::has_begun)).await {
            return Err("a client never got its first cursor".to_owned());
        }
        let last = self.publish_last().await?;
        let arrived = self.read_until(|world| world.books.lacking(&last).is_empty()).await;
        let kept = TOPICS
            .iter()
            .enumerate()
            .map(|(index, name)| ((*name).to_owned(), self.broker.ids(&topic(index))));
        let mut verdict = self.books.close(&kept.collect());
        if verdict.most_gaps > GAPS_MAX {
            verdict.faults.push(format!("{} gaps of one topic were told to one client", verdict.most_gaps));
        }
        if arrived {
            let before: u64 = self.ways.iter().map(Faulty::reads).sum();
            sleep(Duration::from_secs(1)).await;
            let reads = self.ways.iter().map(Faulty::reads).sum::<u64>() - before;
            if reads > READS_MAX {
                verdict.faults.push(format!("{reads} reads of logs in a quiet second"));
            }
        } else {
            verdict.faults.push(format!("never got the last event: {:?}", self.books.lacking(&last)));
        }
        self.nodes.iter().for_each(Node::stop);
        self.clients.clear();
        drop(self.nodes);
        self.tracker.close();
        drop(self.ways);
        drop(self.broker);
        self.tracker.wait().await;
        if verdict.faults.is_empty() { Ok(()) } else { Err(verdict.faults.join("\n")) }
    }

    fn make_sane(&self) {
        for index in 0..TOPICS.len() {
            let topic = topic(index);
            self.broker.write_foreign(&topic, ForeignWrite::WrongType(false));
            if self.last(index).ms == u64::MAX && self.last(index).seq > u64::MAX - 10 {
                // Such a log takes nothing more.
                self.broker.write_foreign(&topic, ForeignWrite::Drop(false));
            }
        }
    }

    async fn publish_last(&self) -> Result<HashMap<String, usize>, String> {
        let mut last = HashMap::new();
        for (index, name) in TOPICS.iter().enumerate() {
            let number = self.publish(index).await.ok_or_else(|| format!("{name} takes no event"))?;
            last.insert((*name).to_owned(), number);
        }
        Ok(last)
    }

    /// Lets everybody read until this is so; whether it is in time.
    async fn read_until(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + ARRIVES_WITHIN;
        while !done(self) {
            if Instant::now() >= deadline {
                return false;
            }
            let mut moved = false;
            for client in &mut self.clients {
                while client.read().await {
                    moved = true;
                }
                if !client.is_open() {
                    client.open(&self.nodes[0]);
                }
            }
            if moved { yield_now().await } else { sleep(Duration::from_millis(20)).await }
        }
        true
    }
}

fn pick(clients: &mut [Client], choice: usize) -> Option<&mut Client> {
    let count = clients.len();
    clients.get_mut(choice % count.max(1))
}
