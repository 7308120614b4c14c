//! Proves a line's connection end to end: its server must say that it is a primary, and a message published
//! over the command connections must come back on it. A peer that hangs, one that nobody publishes to any
//! more, or one that has been replaced is noticed by this alone.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::Parts;
use super::board::Board;
use super::connection::Link;
use crate::BrokerError;
use crate::redis::role::Role;
use crate::url::Address;

/// Probes until one fails; what failed.
pub(super) async fn watch(link: &Link, parts: &Parts, address: &Address, board: &Mutex<Board>) -> String {
    let deadline = parts.settings.probe_deadline;
    let mut number = 0_u64;
    let mut was_primary = false;
    loop {
        sluice_failure::drill("subscriber");
        number += 1;
        match timeout(deadline, link.role()).await {
            Ok(Ok(Role::Primary)) => was_primary = true,
            // Whoever names a replica as his only Redis gets what he asked for.
            Ok(Ok(Role::Replica)) if parts.servers.scout().never_changes() && !was_primary => {}
            Ok(Ok(Role::Replica)) => {
                parts.servers.scout().look_again(None);
                return format!("Redis at {address} has become a replica");
            }
            Ok(Err(why)) => return why.to_string(),
            Err(_) => return format!("Redis at {address} did not answer within {deadline:?}"),
        }
        match timeout(deadline, send(link, parts, address, number)).await {
            Ok(Ok(began)) => {
                if timeout(deadline, link.heard(number)).await.is_err() {
                    return not_heard(address, deadline);
                }
                board.lock().unwrap_or_else(sluice_failure::poisoned).probed(address, began.elapsed());
            }
            // That says something of the other connections, not of this one, which answers.
            Ok(Err(why)) => {
                debug!(redis = %address, error = %why, "cannot publish a probe");
                parts.servers.scout().look_again(None);
            }
            Err(_) => debug!(redis = %address, "cannot publish a probe in time"),
        }
        sleep(parts.settings.probe_interval).await;
    }
}

/// Opens a connection, subscribes to a channel of its own and waits until a message published there comes back: what
/// a node must be able to do.
pub(in crate::redis) async fn prove(parts: &Parts, address: &Address) -> Result<(), BrokerError> {
    let link = Link::open(parts, address).await?;
    let deadline = parts.settings.probe_deadline;
    let proved = timeout(deadline, async {
        link.role().await?;
        send(&link, parts, address, 1).await?;
        link.heard(1).await;
        Ok(())
    });
    let proved = proved.await;
    link.retire();
    proved.unwrap_or_else(|_| Err(BrokerError::Unavailable(not_heard(address, deadline))))
}

fn not_heard(address: &Address, deadline: Duration) -> String {
    format!("a message published to Redis at {address} did not come back within {deadline:?}")
}

/// Publishes a probe. Returns when that began.
async fn send(link: &Link, parts: &Parts, address: &Address, number: u64) -> Result<Instant, BrokerError> {
    let channel = link.probe_channel(&parts.servers.scout().layout(), address).await?;
    let began = Instant::now();
    let mut publish = redis::cmd(parts.servers.announce_command());
    publish.arg(&*channel).arg(number);
    parts.servers.pool(address).command(&publish).await.map(|_| began)
}
