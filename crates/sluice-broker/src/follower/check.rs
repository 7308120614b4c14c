//! The tail check: compares topics with their logs in batches spread over the interval, within a budget. It
//! finds the lost last message of a topic and what a plain XADD appended, and confirms moments.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluice_wire::{EventId, Topic};
use tokio::time::Instant;

use super::core::Core;
use super::topics::Look;
use super::verify;
use crate::{BrokerError, Partition};

/// Looks at the topics in turns until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => {}
        () = check_all(&core) => {}
    }
}

/// One round an interval, in which partitions are looked at side by side. One that takes longer misses rounds,
/// and its share of them goes to the others.
async fn check_all(core: &Core) {
    let interval = core.settings.tail_interval.max(Duration::from_millis(1));
    let mut under_way = FuturesUnordered::new();
    let mut busy = HashSet::new();
    loop {
        let round = Round { began: Instant::now(), interval };
        sluice_failure::drill("follower");
        core.sweep();
        if !core.shared.away.is_empty() {
            core.shared.away.keep(&core.broker.partitions());
        }
        for (partition, asked) in core.by_partition(plan(core, &busy), |(topic, _)| topic) {
            if !busy.contains(&partition) && core.shared.away.claim(&partition) {
                busy.insert(partition.clone());
                under_way.push(check_each(core, partition, asked, round));
            }
        }
        let over = tokio::time::sleep_until(round.began + interval);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => break,
                Some(partition) = under_way.next() => drop(busy.remove(&partition)),
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Round {
    began: Instant,
    interval: Duration,
}

/// The topics of one round and their positions.
fn plan(core: &Core, busy: &HashSet<Partition>) -> Vec<(Topic, EventId)> {
    let (budget, away) = (budget(core), &core.shared.away);
    if busy.is_empty() && away.is_empty() {
        return core.shared.topics().plan(budget, &|_| false);
    }
    let skipped = |topic: &Topic| {
        let partition = core.broker.partition(topic);
        busy.contains(&partition) || away.due(&partition).is_some_and(|due| due > Instant::now())
    };
    core.shared.topics().plan(budget, &skipped)
}

/// Topics of one interval.
fn budget(core: &Core) -> usize {
    let interval_ms = usize::try_from(core.settings.tail_interval.as_millis()).unwrap_or(usize::MAX);
    (core.settings.tail_topics_per_second.saturating_mul(interval_ms) / 1000).max(1)
}

/// Looks at the topics of one partition, batch by batch, until one cannot be read.
async fn check_each(
    core: &Core,
    partition: Partition,
    asked: Vec<(Topic, EventId)>,
    round: Round,
) -> Partition {
    let batches = asked.chunks(core.settings.tail_batch_topics.max(1));
    let count = u32::try_from(batches.len()).unwrap_or(u32::MAX);
    for (nth, batch) in (0_u32..).zip(batches) {
        tokio::time::sleep_until(round.began + round.interval * nth / count).await;
        let checked = check(core, batch).await;
        core.shared.away.note(&partition, &checked);
        if checked.is_err() {
            break;
        }
    }
    partition
}

async fn check(core: &Core, batch: &[(Topic, EventId)]) -> Result<(), BrokerError> {
    let (ahead, batch): (Vec<_>, Vec<_>) = batch.iter().cloned().partition(|(_, at)| core.is_ahead(*at));
    if !ahead.is_empty() {
        verify::look(core, &ahead).await?;
    }
    if batch.is_empty() {
        return Ok(());
    }
    let epoch = core.shared.topics().epoch;
    let tails = core.broker.tails(&batch, core.settings.tail_page_events.max(1)).await?;
    core.shared.note_tail_check(batch.len());
    core.note_clock(tails.time_ms);
    let confirmed_ms = core.confirmed_ms(tails.time_ms);
    let mut locked = core.shared.topics();
    let look = Look { asked: &batch, inclusive: false, epoch };
    let level = locked.looked(look, &tails, &*core.shared.sink);
    if !level.is_empty() {
        let confirmed: Vec<_> = level.into_iter().map(|topic| (topic.clone(), confirmed_ms)).collect();
        core.shared.sink.confirmed(&confirmed);
    }
    let holes = locked.has_holes();
    drop(locked);
    if holes {
        core.shared.holes.notify_one();
    }
    Ok(())
}
