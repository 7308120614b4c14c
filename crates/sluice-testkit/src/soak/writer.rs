//! Honest publishers: what they are told was published is held against what the logs and the clients have.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sluice_wire::EventId;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::books::{Books, Duty};
use crate::publish::publish_with;

const AGAIN_AFTER: Duration = Duration::from_millis(50);
const EVERY: Duration = Duration::from_millis(40);
const PROGRAM_WITHIN: Duration = Duration::from_secs(30);
/// Longer than an outage of the sequence and the publisher's pauses after it.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(40);

/// Publishes to `topic` until it is stopped, one event after the other.
pub(super) async fn keep_publishing(
    books: Books,
    door: SocketAddr,
    topic: String,
    stop: CancellationToken,
) -> Result<()> {
    while !stop.is_cancelled() {
        publish(&books, door, &topic).await?;
        _ = stop.run_until_cancelled(sleep(EVERY)).await;
    }
    Ok(())
}

/// Publishes the next event by HTTP, with a key, until it is acknowledged; its number.
pub(super) async fn publish(books: &Books, door: SocketAddr, topic: &str) -> Result<usize> {
    let (number, payload) = books.write(topic, Duty::Deliver);
    let key = format!("{topic}-{number}");
    let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
    loop {
        books.attempt(topic, number);
        match publish_with(door, topic, &payload, &[("idempotency-key", &key)]).await {
            Ok(id) => {
                books.acknowledge(topic, number, id);
                return Ok(number);
            }
            Err(error) => {
                let late = Instant::now() >= deadline;
                ensure!(!late, "{key} was not acknowledged within {ACKNOWLEDGED_WITHIN:?}: {error:#}");
                sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Publishes one event by `sluice publish`; what it said.
pub(super) async fn publish_by_program(
    books: &Books,
    binary: &Path,
    door: SocketAddr,
    topic: &str,
) -> Result<String> {
    let (number, payload) = books.write(topic, Duty::Deliver);
    books.attempt(topic, number);
    let mut command = Command::new(binary);
    command.args(["publish", topic, &payload, "--url", &format!("http://{door}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = timeout(PROGRAM_WITHIN, command.output()).await;
    let output = output.with_context(|| format!("sluice publish took longer than {PROGRAM_WITHIN:?}"))??;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        return Ok(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    let id: EventId = printed.parse().with_context(|| format!("sluice publish printed {printed:?}"))?;
    books.acknowledge(topic, number, id);
    Ok(printed)
}
