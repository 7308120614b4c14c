//! Proves a line's connection end to end: its server must say that it is a primary, and a message published
//! over the command connections must come back on it. A peer that hangs, one that nobody publishes to any
//! more, or one that has been replaced is noticed by this alone.

use std::sync::Mutex;

use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::Parts;
use super::board::Board;
use super::connection::Link;
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
                return "the server has become a replica".to_owned();
            }
            Ok(Err(why)) => return why,
            Err(_) => return format!("a question was not answered within {deadline:?}"),
        }
        match timeout(deadline, send(link, parts, address, number)).await {
            Ok(Ok(began)) => {
                if timeout(deadline, link.heard(number)).await.is_err() {
                    return format!("a probe was not heard within {deadline:?}");
                }
                board.lock().unwrap_or_else(sluice_failure::poisoned).probed(address, began.elapsed());
            }
            // That says something of the other connections, not of this one, which answers.
            Ok(Err(why)) => {
                debug!(%address, why, "A probe could not be published.");
                parts.servers.scout().look_again(None);
            }
            Err(_) => debug!(%address, "A probe could not be published in time."),
        }
        sleep(parts.settings.probe_interval).await;
    }
}

/// Publishes a probe; when that began.
async fn send(link: &Link, parts: &Parts, address: &Address, number: u64) -> Result<Instant, String> {
    let channel = link.probe_channel(&parts.servers.scout().layout(), address).await?;
    let began = Instant::now();
    let mut publish = redis::cmd(parts.servers.announce_command());
    publish.arg(&*channel).arg(number);
    let pool = parts.servers.pool(address).map_err(|why| why.to_string())?;
    pool.command(&publish).await.map(|_| began).map_err(|why| why.to_string())
}
