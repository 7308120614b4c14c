//! Proves the subscriber's connection end to end: it must answer pings, and a message published over the
//! command connections must come back on it. A peer that hangs, or a server that nobody publishes to any
//! more, is noticed by this alone.

use std::sync::{Arc, PoisonError};

use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::Health;
use super::connection::Link;
use crate::redis::RedisSettings;
use crate::redis::pool::Pool;

/// Probes until one fails; what failed.
pub(super) async fn watch(
    link: Link,
    pool: Arc<Pool>,
    settings: RedisSettings,
    health: Arc<Health>,
) -> String {
    let deadline = settings.probe_deadline;
    let mut number = 0_u64;
    loop {
        number += 1;
        match timeout(deadline, link.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return why,
            Err(_) => return format!("a ping was not answered within {deadline:?}"),
        }
        let began = Instant::now();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(link.probe_channel()).arg(number);
        match timeout(deadline, pool.command(&publish)).await {
            Ok(Ok(_)) => {
                if timeout(deadline, link.heard(number)).await.is_err() {
                    return format!("a probe was not heard within {deadline:?}");
                }
                *health.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(began.elapsed());
            }
            // That says something of the other connections, not of this one, which answers.
            Ok(Err(why)) => debug!(%why, "A probe could not be published."),
            Err(_) => debug!("A probe could not be published in time."),
        }
        sleep(settings.probe_interval).await;
    }
}
