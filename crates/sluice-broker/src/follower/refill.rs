//! Reads holes from the log: a bounded number of tasks that take topics from queues, one a partition. A server
//! that hangs takes half of them with it at most, until it is known to be away.

use std::collections::HashMap;
use std::sync::Arc;

use sluice_wire::EventId;
use tokio::time::Instant;
use tracing::debug;

use super::core::Core;
use super::queues::Queues;
use super::topics::Hole;
use crate::away::is_away;
use crate::continuity::Pass;
use crate::{BrokerError, Partition, Replay, Start};

/// The holes that wait to be read, and how many are being read.
#[derive(Debug, Default)]
pub(super) struct Holes {
    waiting: Queues<Hole>,
    under_way: HashMap<Partition, usize>,
}

/// Reads holes until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => {}
        () = refill_all(&core) => {}
    }
}

async fn refill_all(core: &Core) {
    loop {
        let Some((partition, hole)) = next_hole(core) else {
            let due = next_due(core);
            tokio::select! {
                () = core.shared.holes.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            continue;
        };
        let refilled = refill(core, &hole).await;
        match &refilled {
            Ok(false) => core.shared.away.give_back(&partition),
            refilled => core.shared.away.note(&partition, refilled),
        }
        core.holes().ended(&partition);
        match refilled {
            Ok(_) => core.shared.refilled.notify_waiters(),
            Err(why) => {
                debug!(topic = hole.topic.as_str(), error = %why, "cannot read missing events yet; retrying");
                let partition = core.broker.partition(&hole.topic);
                core.holes().waiting.push(partition, hole);
            }
        }
    }
}

/// A hole that can be read now.
fn next_hole(core: &Core) -> Option<(Partition, Hole)> {
    let fresh = core.shared.topics().take_holes();
    let mut holes = core.holes();
    for hole in fresh {
        holes.waiting.push(core.broker.partition(&hole.topic), hole);
    }
    let Holes { waiting, under_way } = &mut *holes;
    let (partition, hole) = waiting
        .take(1, |partition| has_place(core, under_way, partition) && core.shared.away.claim(partition))?;
    *under_way.entry(partition.clone()).or_default() += 1;
    if holes.waiting.len() > 0 {
        core.shared.holes.notify_one();
    }
    Some((partition, hole.into_iter().next()?))
}

/// Whether one more hole of `partition` may be read.
fn has_place(core: &Core, under_way: &HashMap<Partition, usize>, partition: &Partition) -> bool {
    let all = core.settings.refills_max.max(1);
    let most = if *partition == Partition::WHOLE { all } else { all.div_ceil(2) };
    under_way.get(partition).is_none_or(|count| *count < most)
}

/// When a hole that waits for a server which is away may be tried again. One without a place waits for that.
fn next_due(core: &Core) -> Option<Instant> {
    let holes = core.holes();
    let partitions = holes.waiting.partitions();
    let placed = partitions.filter(|partition| has_place(core, &holes.under_way, partition));
    placed.filter_map(|partition| core.shared.away.due(partition)).min()
}

impl Holes {
    fn ended(&mut self, partition: &Partition) {
        if let Some(count) = self.under_way.get_mut(partition) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(partition);
            }
        }
    }
}

/// Reads the log of a topic until its position is level with all that was heard. Whether anything was read. An
/// error leaves the topic as it is, to be read again.
async fn refill(core: &Core, hole: &Hole) -> Result<bool, BrokerError> {
    let topic = &hole.topic;
    let mut has_read = false;
    loop {
        let Some(position) = core.shared.topics().begin_pass(hole) else { return Ok(has_read) };
        has_read = true;
        let floor_ms = core.shared.sink.floor_ms(topic);
        let from = Start::Seen { id: position, floor_ms };
        let broker = Arc::clone(&core.broker);
        let replay = Replay::new(broker, topic.clone(), from, EventId::MAX, core.settings.replay);
        // A floor that has sunk with a jump is not of a look.
        let looked = floor_ms > position.ms;
        let mut replay = replay.watched(if looked { core.looked_ms(floor_ms) } else { floor_ms });
        let mut outcome = Pass::Again;
        loop {
            let page = match replay.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(why) if is_away(&why) => return Err(why),
                Err(why) => {
                    core.shared.topics().abandon(hole, &why.to_string());
                    return Ok(true);
                }
            };
            let mut locked = core.shared.topics();
            match locked.page(hole, &page, &*core.shared.sink) {
                Some(pass) => outcome = pass,
                None => return Ok(true),
            }
        }
        if outcome == Pass::Finished {
            return Ok(true);
        }
    }
}
