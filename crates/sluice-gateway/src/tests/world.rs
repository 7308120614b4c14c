//! The nodes and clients of a test: each step of a history, and that it ends well.

use std::cell::Cell;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use sluice_broker::{Broker as _, BrokerSettings, BrokerUrl, MemoryBroker, Retention, RetentionPolicies};
use sluice_wire::NewEvent;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::client::{Client, Read};
use super::faults::{Badness, Faulty};
use super::history::{Op, Setting};
use super::ledger::{Counts, Ledger, TOPICS, topic};
use super::node::Node;
use crate::settings::OnLag;

/// Where the virtual clock begins: its units are then milliseconds of a time that the node's own clock has passed.
const EPOCH_MS: u64 = 1_700_000_000_000 / UNITS;
/// Longer than any frame of a step may be together.
const BIG_BYTES: usize = 90 << 10;
/// What a stream may turn out to have read at once where that was not to be foreseen: at most four events of a topic.
const PAGE_BYTES_MAX: usize = 4 * (BIG_BYTES + 1_024) * TOPICS.len();

/// Of the logs' clock, in one millisecond of the test: so that each era has ids of its own.
pub(super) const UNITS: u64 = 16;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static ERA: Cell<Era> = const { Cell::new(Era { number: 0, behind_ms: 0 }) };
}

/// What a failover makes of the logs' clock.
#[derive(Debug, Clone, Copy)]
struct Era {
    number: u64,
    behind_ms: u64,
}

pub(super) fn virtual_ms() -> u64 {
    let began = BEGAN.get().expect("the clock was started");
    let Era { number, behind_ms } = ERA.get();
    let elapsed_ms = EPOCH_MS + u64::try_from(began.elapsed().as_millis()).unwrap();
    (elapsed_ms - behind_ms) * UNITS + number % UNITS
}

/// Two nodes over one broker, and their clients.
pub(super) struct World {
    broker: Arc<MemoryBroker>,
    ways: [Faulty; 2],
    pub(super) nodes: [Node; 2],
    pub(super) ledger: Ledger,
    clients: Vec<Client>,
    tracker: TaskTracker,
    totals: Totals,
}

/// How often what happened.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    /// Events that clients received.
    pub(super) events: u64,
    /// Streams opened with a cursor.
    pub(super) resumes: u64,
    /// Holes that followers found.
    pub(super) holes: u64,
    /// Streams that a ring had passed.
    pub(super) lagged: u64,
    /// Pages read from a log for streams.
    pub(super) reads: u64,
    /// Pages that a stream got because another had asked for them.
    pub(super) saved: u64,
    /// Reads that waited for memory.
    pub(super) waits: u64,
    /// Gaps told to clients.
    pub(super) gaps: u64,
    /// Events that a failover took back.
    pub(super) lost: u64,
    /// Rewinds told to clients.
    pub(super) rewinds: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.events += more.events;
        self.resumes += more.resumes;
        self.holes += more.holes;
        self.lagged += more.lagged;
        self.reads += more.reads;
        self.saved += more.saved;
        self.waits += more.waits;
        self.gaps += more.gaps;
        self.lost += more.lost;
        self.rewinds += more.rewinds;
    }
}

/// Plays `ops` on a clock of its own and lets everybody read to the end. What happened.
pub(super) fn run(setting: &Setting, ops: &[Op]) -> Totals {
    // Ids leave some out by chance: by the same chance in every run of a history.
    fastrand::seed(setting.seed);
    on_virtual_clock(async |counts| {
        let mut world = World::new(setting);
        for op in ops {
            world.step(op).await;
        }
        let totals = world.finish().await;
        Totals {
            lagged: counts.get("sluice_streams_lagged_total"),
            reads: counts.get("sluice_replay_reads_total"),
            saved: counts.get("sluice_replay_reads_saved_total"),
            ..totals
        }
    })
}

/// Runs a test whose time passes when everybody waits for it.
pub(super) fn on_virtual_clock<T>(history: impl AsyncFnOnce(&Counts) -> T) -> T {
    let counts = Counts::default();
    let recording = metrics::set_default_local_recorder(&counts);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let outcome = runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
        BEGAN.set(Some(Instant::now()));
        ERA.set(Era { number: 0, behind_ms: 0 });
        history(&counts).await
    });
    drop(recording);
    outcome
}

impl World {
    pub(super) fn new(setting: &Setting) -> Self {
        let tracker = TaskTracker::new();
        let events_max = u64::try_from(setting.retained).ok().filter(|max| *max < u64::MAX);
        let retention = RetentionPolicies::uniform(Retention { events_max, ..Retention::UNLIMITED });
        let settings = BrokerSettings { retention, ..BrokerSettings::new(BrokerUrl::memory()) };
        let broker = Arc::new(MemoryBroker::new(settings, tracker.clone()).on_clock(virtual_ms));
        let ways = [0, 1].map(|number| {
            let (lost_percent, slow_ms) = (setting.lost_percent[number], setting.slow_ms[number]);
            let badness = Badness { lost_percent, doubled_percent: lost_percent, slow_ms };
            Faulty::new(broker.clone(), badness, setting.seed.wrapping_add(number as u64))
        });
        let on_lag = if setting.disconnects { OnLag::Disconnect } else { OnLag::CatchUp };
        let nodes = [0, 1]
            .map(|number| Node::start(Arc::new(ways[number].clone()), on_lag, setting.memory, &tracker));
        let (ledger, clients, totals) = (Ledger::new(setting.retained), Vec::new(), Totals::default());
        Self { broker, ways, nodes, ledger, clients, tracker, totals }
    }

    pub(super) async fn wait(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }

    pub(super) async fn step(&mut self, op: &Op) {
        match op {
            Op::Publish { topic, count, big } => self.publish(*topic, *count, *big).await,
            Op::Plain { topic: index } => self.broker.announce_plain(&topic(*index), "plain"),
            Op::Wait { ms: 0 } => yield_now().await,
            Op::Wait { ms } => self.wait(*ms).await,
            Op::Open { node, topics, begin } => {
                let topics = (0..TOPICS.len()).filter(|index| topics >> index & 1 == 1).collect();
                let mut client = Client::new(topics, *begin);
                client.open(&self.nodes[*node], &self.ledger);
                self.clients.push(client);
            }
            Op::Read { client, pieces } => {
                let Some(client) = pick(&mut self.clients, *client) else { return };
                for _ in 0..*pieces {
                    client.read(&self.ledger).await;
                    yield_now().await;
                }
            }
            Op::Drop { client, partly } => {
                let Some(client) = pick(&mut self.clients, *client) else { return };
                client.drop_stream(*partly, &self.ledger).await;
            }
            Op::Resume { client, node } => {
                let Some(client) = pick(&mut self.clients, *client) else { return };
                self.totals.resumes += u64::from(client.has_cursor());
                client.open(&self.nodes[*node], &self.ledger);
            }
            Op::Forgo { client } => {
                let Some(client) = pick(&mut self.clients, *client) else { return };
                if !client.is_open() {
                    client.forgo_topic();
                }
            }
            Op::Add { client, topic } => {
                let Some(client) = pick(&mut self.clients, *client) else { return };
                if !client.is_open() {
                    client.add_topic(*topic, &self.ledger);
                }
            }
            Op::FailOver { lag_ms, behind_ms } => self.fail_over(*lag_ms, *behind_ms).await,
            Op::Cut { node } => self.ways[*node].cut(),
            Op::Heal { node } => self.ways[*node].heal(),
            Op::Hold { node } => self.ways[*node].hold(),
            Op::Release { node } => self.ways[*node].release(),
            Op::Fail { node, times } => self.ways[*node].fail(*times),
            Op::Beat { node } => self.nodes[*node].beat(),
        }
    }

    pub(super) async fn publish(&mut self, index: usize, count: usize, big: bool) {
        for _ in 0..count {
            let number = self.ledger.next_number(index);
            let filler = "x".repeat(if big { BIG_BYTES } else { number % 50 });
            let event = NewEvent::new(topic(index), format!("{}:{number}:{filler}", TOPICS[index]));
            let appended = self.broker.append(&[event]).await.remove(0).unwrap();
            self.ledger.note(index, appended.id);
        }
    }

    /// The logs move to a server that lacks what came in the last `lag_ms`, and whose clock is late.
    pub(super) async fn fail_over(&mut self, lag_ms: u64, behind_ms: u64) {
        self.ways.iter().for_each(Faulty::lose_server);
        // What the old server said is heard by nobody before the new one speaks.
        self.wait(1).await;
        let from_ms = virtual_ms() - lag_ms * UNITS;
        self.broker.fail_over(from_ms);
        self.ledger.lose_from(from_ms);
        ERA.set(Era { number: ERA.get().number + 1, behind_ms });
        self.ways.iter().for_each(Faulty::heal);
    }

    /// Lets every fault end and every client read; all of them get everything, and nothing is left over.
    async fn finish(mut self) -> Totals {
        self.ways.iter().for_each(Faulty::behave);
        for round in 0.. {
            let (mut level, mut moved) = (true, false);
            for (number, client) in self.clients.iter_mut().enumerate() {
                if !client.is_open() {
                    client.open(&self.nodes[number % 2], &self.ledger);
                }
                while client.read(&self.ledger).await == Read::Something {
                    moved = true;
                }
                level &= client.is_level(&self.ledger);
            }
            if level {
                break;
            }
            assert!(round < 2_000, "somebody never got everything: {:?}", self.clients);
            if moved { yield_now().await } else { sleep(Duration::from_millis(20)).await }
        }
        for client in self.clients.drain(..) {
            self.totals.events += client.events;
            self.totals.gaps += client.gaps;
            self.totals.rewinds += client.rewinds;
        }
        self.totals.lost = self.ledger.lost as u64;
        for node in &self.nodes {
            for _ in 0..1_000 {
                if node.sizes().topics == 0 {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
            let sizes = node.sizes();
            let left = (sizes.feeds, sizes.topics, sizes.window_bytes, node.open_streams());
            assert_eq!(left, (0, 0, 0, 0), "feeds, topics, bytes of windows, streams");
            self.totals.holes += node.follower().holes_found;
            let (memory, waits) = node.replay_memory();
            assert_eq!(memory.held, 0);
            assert!(memory.peak <= memory.max + PAGE_BYTES_MAX, "{memory:?}");
            self.totals.waits += waits;
            node.stop();
        }
        drop(self.nodes);
        self.tracker.close();
        drop(self.ways);
        drop(self.broker);
        self.tracker.wait().await;
        self.totals
    }
}

fn pick(clients: &mut [Client], choice: usize) -> Option<&mut Client> {
    let count = clients.len();
    clients.get_mut(choice % count.max(1))
}
