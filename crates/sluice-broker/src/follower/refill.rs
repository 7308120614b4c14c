//! Reads holes from the log: a bounded number of tasks that take topics from one queue.

use std::sync::Arc;
use std::time::Duration;

use sluice_wire::EventId;
use tracing::debug;

use super::core::Core;
use super::topics::Hole;
use crate::backoff::Backoff;
use crate::continuity::Pass;
use crate::{BrokerError, Replay, Start};

/// Reads holes until the follower stops.
pub(super) async fn run(core: Arc<Core>) {
    let stopped = core.stop.clone();
    tokio::select! {
        () = stopped.cancelled() => {}
        () = refill_all(&core) => {}
    }
}

async fn refill_all(core: &Core) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        let Some(hole) = next_hole(core) else {
            core.shared.holes.notified().await;
            continue;
        };
        match refill(core, &hole).await {
            Ok(()) => {
                backoff.reset();
                core.shared.refilled.notify_waiters();
            }
            Err(why) => {
                debug!(topic = hole.topic.as_str(), %why, "A hole could not be read yet.");
                core.shared.topics().put_hole_back(hole);
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

fn next_hole(core: &Core) -> Option<Hole> {
    let mut locked = core.shared.topics();
    let hole = locked.take_hole();
    let more = locked.has_holes();
    drop(locked);
    if more {
        core.shared.holes.notify_one();
    }
    hole
}

/// Reads the log of a topic until its position is level with all that was heard. An error leaves the topic as
/// it is, to be read again.
async fn refill(core: &Core, hole: &Hole) -> Result<(), BrokerError> {
    let topic = &hole.topic;
    loop {
        let Some(position) = core.shared.topics().begin_pass(hole) else { return Ok(()) };
        let from = Start::Seen { id: position, floor_ms: core.shared.sink.floor_ms(topic) };
        let broker = Arc::clone(&core.broker);
        let mut replay = Replay::new(broker, topic.clone(), from, EventId::MAX, core.settings.replay);
        let mut outcome = Pass::Again;
        loop {
            let page = match replay.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(why) if !matches!(why, BrokerError::Unexpected(_)) => return Err(why),
                Err(why) => {
                    core.shared.topics().abandon(hole, &why.to_string());
                    return Ok(());
                }
            };
            let mut locked = core.shared.topics();
            match locked.page(hole, &page, &*core.shared.sink) {
                Some(pass) => outcome = pass,
                None => return Ok(()),
            }
        }
        if outcome == Pass::Finished {
            return Ok(());
        }
    }
}
