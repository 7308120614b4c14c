//! Reads that are shared: fewer than askers, and never older than the question.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sluice_broker::{Broker, BrokerSettings, BrokerUrl, MemoryBroker};
use sluice_wire::{EventId, NewEvent};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::faults::{Badness, Faulty};
use super::ledger::{Counts, topic};
use super::world::on_virtual_clock;
use crate::catch_up::{PageMemory, ReadBudget, SharedReads};
use crate::tallies::Tallies;

struct Shelf {
    log: Arc<MemoryBroker>,
    faulty: Faulty,
    reads: SharedReads,
}

impl Shelf {
    /// Reads look at the log at once and answer some milliseconds later.
    fn new() -> Self {
        let log = Arc::new(MemoryBroker::new(BrokerSettings::new(BrokerUrl::memory()), TaskTracker::new()));
        let badness = Badness { lost_percent: 0, doubled_percent: 0, slow_ms: 9 };
        let faulty = Faulty::new(log.clone(), badness, 7);
        let budget = ReadBudget {
            readers: Arc::new(Semaphore::new(8)),
            memory: PageMemory::new(1 << 20, Tallies::register()),
        };
        let reads = SharedReads::new(Arc::new(faulty.clone()), budget, Tallies::register());
        Self { log, faulty, reads }
    }

    async fn publish(&self) -> EventId {
        self.log.append(&[NewEvent::new(topic(0), "x".to_owned())]).await.remove(0).unwrap().id
    }

    /// The ids that a reader is given on the way to `to`.
    async fn read(&self, to: EventId) -> Vec<EventId> {
        let page = self.reads.read(&topic(0), EventId::ZERO, to, 10).await.unwrap();
        page.events.iter().map(|event| event.id).collect()
    }

    /// How many reads of the log `askers` made that came at once and were all told an error.
    async fn failed_of(&self, askers: u64, to: EventId) -> u32 {
        let (topic, before) = (topic(0), self.faulty.failing());
        let asks = (0..askers).map(|n| self.reads.read(&topic, EventId::at(n), to, 10));
        assert!(join_all(asks).await.iter().all(Result::is_err));
        before - self.faulty.failing()
    }
}

fn made_and_saved(counts: &Counts) -> (u64, u64) {
    (counts.get("sluice_replay_reads_total"), counts.get("sluice_replay_reads_saved_total"))
}

#[test]
fn who_asks_while_a_read_is_under_way_shares_it_up_to_a_fence_of_its_own() {
    on_virtual_clock(async |counts| {
        let shelf = Shelf::new();
        let (first, second) = (shelf.publish().await, shelf.publish().await);
        let (whole, half) = tokio::join!(shelf.read(second), shelf.read(first));
        assert_eq!((whole, half), (vec![first, second], vec![first]));
        assert_eq!(made_and_saved(counts), (1, 1));
        assert_eq!(shelf.read(second).await, [first, second]);
        assert_eq!(made_and_saved(counts), (2, 1), "an answer is not kept for later");
    });
}

#[test]
fn a_read_that_looked_too_early_is_not_taken_for_the_end_of_the_log() {
    for before in 0..20 {
        on_virtual_clock(async |_| {
            let shelf = Shelf::new();
            let first = shelf.publish().await;
            let late = async {
                sleep(Duration::from_millis(before)).await;
                let second = shelf.publish().await;
                assert_eq!(shelf.read(second).await, [first, second]);
            };
            tokio::join!(shelf.read(first), late);
        });
    }
}

/// Else each of them would keep a reader's place for as long as an answer may take.
#[test]
fn a_log_that_cannot_be_read_is_asked_for_by_one_now_and_then() {
    on_virtual_clock(async |_| {
        let shelf = Shelf::new();
        let id = shelf.publish().await;
        shelf.faulty.fail(1_000);
        assert_eq!(shelf.failed_of(1, id).await, 1);
        assert_eq!(shelf.failed_of(100, id).await, 0, "nobody asks at once again");
        sleep(Duration::from_millis(60)).await;
        assert_eq!(shelf.failed_of(100, id).await, 1, "one asks for all");
        shelf.faulty.behave();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(shelf.read(id).await, [id]);
    });
}
