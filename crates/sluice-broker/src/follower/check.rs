//! The tail check: compares topics with their logs in batches spread over the interval, within a budget. It
//! finds the lost last message of a topic and what a plain XADD appended, and confirms moments.

use std::sync::Arc;
use std::time::Duration;

use sluice_wire::{EventId, Topic};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::core::Core;
use super::topics::Look;

/// Looks at the topics in turns until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => {}
        () = check_all(&core) => {}
    }
}

async fn check_all(core: &Core) {
    let interval = core.settings.tail_interval.max(Duration::from_millis(1));
    let mut failing = false;
    loop {
        let round = Instant::now();
        core.sweep();
        let planned = core.shared.topics().plan(budget(core));
        let batches = planned.chunks(core.settings.tail_batch_topics.max(1));
        let count = u32::try_from(batches.len().max(1)).unwrap_or(u32::MAX);
        for (nth, batch) in (1_u32..).zip(batches) {
            check(core, batch, &mut failing).await;
            tokio::time::sleep_until(round + interval * nth / count).await;
        }
        tokio::time::sleep_until(round + interval).await;
    }
}

/// Topics of one interval.
fn budget(core: &Core) -> usize {
    let interval_ms = usize::try_from(core.settings.tail_interval.as_millis()).unwrap_or(usize::MAX);
    (core.settings.tail_topics_per_second.saturating_mul(interval_ms) / 1000).max(1)
}

async fn check(core: &Core, batch: &[(Topic, EventId)], failing: &mut bool) {
    let epoch = core.shared.topics().epoch;
    let tails = match core.broker.tails(batch, core.settings.tail_page_events.max(1)).await {
        Ok(tails) => tails,
        Err(why) if *failing => {
            debug!(%why, "Topics still cannot be compared with their logs.");
            return;
        }
        Err(why) => {
            *failing = true;
            warn!(%why, "Topics cannot be compared with their logs; this goes on being tried.");
            return;
        }
    };
    *failing = false;
    core.shared.note_tail_check(batch.len());
    let confirmed_ms = core.confirmed_ms(tails.time_ms);
    let mut locked = core.shared.topics();
    let look = Look { asked: batch, inclusive: false, epoch };
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
}
