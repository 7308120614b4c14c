//! What is published while things go wrong: a lane for each topic, each event tried with its key until it is
//! acknowledged.
//!
//! The next event of a lane waits for the acknowledgement of the last, and an outage is caught up with in a burst.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::continuity::Ledger;
use crate::publish::publish_with;

const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_millis(50);

pub(super) struct Load {
    lanes: JoinSet<Result<()>>,
    stop: CancellationToken,
}

impl Load {
    pub(super) fn start(ledger: &Ledger, door: SocketAddr, topics: &[String], per_second: u32) -> Self {
        let mut load = Self { lanes: JoinSet::new(), stop: CancellationToken::new() };
        for topic in topics {
            let interval = Duration::from_secs(1) / per_second;
            let (ledger, topic, stop) = (ledger.clone(), topic.clone(), load.stop.clone());
            load.lanes.spawn(async move {
                let mut due = Instant::now();
                while stop.run_until_cancelled(sleep_until(due)).await.is_some() {
                    publish(&ledger, door, &topic, "").await?;
                    due += interval;
                }
                Ok(())
            });
        }
        load
    }

    /// An error if a lane gave up, which says why.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        if let Some(ended) = self.lanes.try_join_next() {
            ended?.context("publishing")?;
            bail!("a lane ended before its time");
        }
        Ok(())
    }

    /// Returns when every event that was begun is acknowledged.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.lanes.join_next().await {
            ended?.context("publishing")?;
        }
        Ok(())
    }
}

/// Publishes the next event of `topic` with `filler` behind its number.
pub(super) async fn publish(ledger: &Ledger, door: SocketAddr, topic: &str, filler: &str) -> Result<()> {
    let publication = ledger.publish(topic);
    let key = format!("{topic}-{}", publication.number);
    let payload = format!("{} {filler}", publication.payload);
    let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
    loop {
        match publish_with(door, topic, payload.trim_end(), &[("idempotency-key", &key)]).await {
            Ok(id) => {
                ledger.acknowledge(&publication, id);
                return Ok(());
            }
            Err(error) => {
                let late = Instant::now() >= deadline;
                ensure!(!late, "{key} was not acknowledged within {ACKNOWLEDGED_WITHIN:?}: {error:#}");
                sleep(AGAIN_AFTER).await;
            }
        }
    }
}
