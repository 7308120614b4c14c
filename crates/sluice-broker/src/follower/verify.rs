//! After announcements of topics were lost and come again: compares those topics with their logs, looking for
//! the position itself too. When all topics are verified and all announcements come, the link is live.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluice_wire::{EventId, Topic};
use tracing::info;

use super::core::Core;
use super::topics::Look;
use crate::{BrokerError, Partition};

/// How long to wait for refills before looking again at what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Verifies what was restored, until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => {}
        () = verify_all(&core) => {}
    }
}

/// Partitions are looked at side by side: one that cannot be read holds up the link, and no other's topics.
async fn verify_all(core: &Core) {
    let mut under_way = FuturesUnordered::new();
    let mut busy = HashSet::new();
    let mut left: Vec<Topic> = Vec::new();
    loop {
        let unsettled = !left.is_empty() || core.shared.topics().is_to_be_live();
        let look_again = tokio::select! {
            () = core.shared.restored.notified() => {
                left = core.shared.topics().unverified();
                true
            }
            Some(partition) = under_way.next() => {
                busy.remove(&partition);
                false
            }
            // Ends early when a log was read through; else whoever is left is looked at again.
            () = core.shared.refilled.notified(), if unsettled => true,
            () = tokio::time::sleep(LOOK_AGAIN), if unsettled => true,
        };
        if look_again && left.is_empty() {
            // One that was opened meanwhile may not be verified.
            left = core.shared.topics().unverified();
        }
        settle(core, &mut left);
        if !look_again {
            continue;
        }
        for (partition, topics) in core.by_partition(left.clone(), |topic| topic) {
            if !busy.contains(&partition) && core.shared.away.claim(&partition) {
                busy.insert(partition.clone());
                under_way.push(look_at(core, partition, topics));
            }
        }
    }
}

/// Forgets those of `left` that are verified; once all topics are, the link is live.
fn settle(core: &Core, left: &mut Vec<Topic>) {
    let mut locked = core.shared.topics();
    left.retain(|topic| locked.is_unverified(topic));
    if left.is_empty() && locked.is_to_be_live() && locked.are_verified() {
        locked.live = true;
        core.shared.sink.link(true);
        info!(topics = locked.len(), "compared all topics with their logs; nothing is missing");
    }
}

/// Looks at topics of one partition, batch by batch, until one cannot be read.
async fn look_at(core: &Core, partition: Partition, topics: Vec<Topic>) -> Partition {
    let mut asked_any = false;
    for batch in topics.chunks(core.settings.tail_batch_topics.max(1)) {
        let looked = match verify(core, batch).await {
            Ok(false) => continue,
            looked => looked,
        };
        asked_any = true;
        core.shared.away.note(&partition, &looked);
        if looked.is_err() {
            break;
        }
    }
    if !asked_any {
        core.shared.away.give_back(&partition);
    }
    partition
}

/// Whether there was anything to ask.
async fn verify(core: &Core, topics: &[Topic]) -> Result<bool, BrokerError> {
    let asked = core.shared.topics().to_verify(topics);
    if asked.is_empty() {
        return Ok(false);
    }
    look(core, &asked).await?;
    Ok(true)
}

/// Compares topics with their logs, the positions themselves included.
pub(super) async fn look(core: &Core, asked: &[(Topic, EventId)]) -> Result<(), BrokerError> {
    let epoch = core.shared.topics().epoch;
    let inclusive: Vec<(Topic, EventId)> =
        asked.iter().map(|(topic, position)| (topic.clone(), position.before())).collect();
    let tails = core.broker.tails(&inclusive, core.settings.tail_page_events.max(2)).await?;
    core.shared.note_tail_check(asked.len());
    core.note_clock(tails.time_ms);
    let mut locked = core.shared.topics();
    locked.looked(Look { asked, inclusive: true, epoch }, &tails, &*core.shared.sink);
    let holes = locked.has_holes();
    drop(locked);
    if holes {
        core.shared.holes.notify_one();
    }
    Ok(())
}
