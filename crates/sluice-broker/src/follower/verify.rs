//! After the connection was lost and is back: compares every topic with its log, looking for the position
//! itself too, and only then says that the link is live.

use std::sync::Arc;
use std::time::Duration;

use sluice_wire::{EventId, Topic};
use tracing::{debug, info};

use super::core::Core;
use super::topics::Look;
use crate::backoff::Backoff;

/// How long to wait for refills before looking again at what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Verifies after each restored connection until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => {}
        () = verify_each_time(&core) => {}
    }
}

async fn verify_each_time(core: &Core) {
    loop {
        core.shared.restored.notified().await;
        verify(core).await;
    }
}

/// Returns when all is verified, or when the connection was lost again.
async fn verify(core: &Core) {
    let (epoch, mut left) = {
        let locked = core.shared.topics();
        (locked.epoch, locked.unverified())
    };
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        for topics in left.chunks(core.settings.tail_batch_topics.max(1)) {
            if !look(core, topics).await {
                tokio::time::sleep(backoff.next()).await;
                break;
            }
        }
        let refilled = core.shared.refilled.notified();
        tokio::pin!(refilled);
        refilled.as_mut().enable();
        {
            let mut locked = core.shared.topics();
            if locked.epoch != epoch {
                return;
            }
            left.retain(|topic| locked.is_unverified(topic));
            if left.is_empty() {
                locked.live = true;
                core.shared.sink.link(true);
                info!(topics = locked.len(), "Every topic is level with its log.");
                return;
            }
        }
        // Ends early when a log was read through; else whoever is left is looked at again.
        tokio::select! {
            () = refilled => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Whether the broker answered.
async fn look(core: &Core, topics: &[Topic]) -> bool {
    let (epoch, asked) = {
        let locked = core.shared.topics();
        (locked.epoch, locked.to_verify(topics))
    };
    if asked.is_empty() {
        return true;
    }
    let inclusive: Vec<(Topic, EventId)> =
        asked.iter().map(|(topic, position)| (topic.clone(), position.before())).collect();
    let tails = match core.broker.tails(&inclusive, core.settings.tail_page_events.max(2)).await {
        Ok(tails) => tails,
        Err(why) => {
            debug!(%why, "Topics cannot be verified yet.");
            return false;
        }
    };
    core.shared.note_tail_check(asked.len());
    let mut locked = core.shared.topics();
    locked.looked(Look { asked: &asked, inclusive: true, epoch }, &tails, &*core.shared.sink);
    let holes = locked.has_holes();
    drop(locked);
    if holes {
        core.shared.holes.notify_one();
    }
    true
}
