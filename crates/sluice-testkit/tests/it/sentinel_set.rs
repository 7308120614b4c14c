//! Sentinels that watch a primary, and failovers of every kind.

use anyhow::Result;
use sluice_testkit::{RedisCli, SentinelSet};

#[tokio::test]
async fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() -> Result<()> {
    let mut set = SentinelSet::start().await?;
    assert!(set.url().starts_with("redis+sentinel://127.0.0.1:") && set.url().ends_with("/sluice-test"));
    // On one connection: WAIT waits for the writes of its own.
    let replicated = set.primary().await?.cli_with_stdin(&[], b"SET key before\nWAIT 1 10000\n").await?;
    assert_eq!(replicated, "OK\n1");

    let killed = set.kill_primary().await?;
    let primary = set.failed_over(killed).await?;
    assert_ne!(primary, killed);
    assert_eq!(set.primary().await?.addr(), primary);
    assert_eq!(RedisCli::new(primary).run(&["GET", "key"]).await?, "before");

    set.restart(killed).await?;
    assert_eq!(set.replica().await?.addr(), killed);
    assert!(set.server(killed)?.cli(&["SET", "key", "after"]).await.is_err(), "a replica takes writes");
    Ok(())
}

#[tokio::test]
async fn a_failover_by_command_and_back_by_a_hang() -> Result<()> {
    let set = SentinelSet::builder().replicas(2).start().await?;
    let first = set.primary().await?.addr();
    let second = set.failover().await?;
    assert_ne!(first, second);
    set.server(second)?.pause()?;
    let third = set.taken_over(second).await?;
    set.server(second)?.resume()?;
    assert_eq!(set.settled().await?, third);
    Ok(())
}
