//! A cluster that loses primaries, changes them and moves slots.

use anyhow::Result;
use sluice_testkit::RedisCluster;

const LOG: &str = "sluice:{orders}:log";

#[tokio::test]
async fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() -> Result<()> {
    let mut cluster = RedisCluster::start().await?;
    assert_eq!(cluster.url().matches("127.0.0.1:").count(), 3);
    assert!(cluster.url().starts_with("redis+cluster://127.0.0.1:"));
    assert_eq!(cluster.slot_of(LOG).await?, cluster.slot_of("orders").await?);
    let write = format!("SET {LOG} before\nWAIT 1 10000\n");
    let serving = cluster.primary_of("orders").await?;
    assert_eq!(serving.cli_with_stdin(&[], write.as_bytes()).await?, "OK\n1");
    assert_eq!(cluster.cli(&["GET", LOG]).await?, "before");

    let killed = cluster.kill_primary_of("orders").await?;
    let primary = cluster.failed_over("orders", killed).await?;
    assert_eq!(cluster.cli(&["GET", LOG]).await?, "before");
    cluster.restart(killed).await?;
    assert_eq!(cluster.primary_of(LOG).await?.addr(), primary);
    assert_eq!(cluster.replica_of(LOG).await?.addr(), killed);
    Ok(())
}

#[tokio::test]
async fn a_failover_by_command_and_a_slot_that_moves() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    cluster.cli(&["SET", LOG, "value"]).await?;
    let first = cluster.primary_of("orders").await?.addr();
    let second = cluster.failover_of("orders").await?;
    assert_ne!(first, second);

    let third = cluster.migrate_slot_of("orders").await?;
    assert!(third != first && third != second);
    assert_eq!(cluster.node(third)?.cli(&["GET", LOG]).await?, "value");

    let migration = cluster.begin_migration_of("orders").await?;
    assert_eq!((migration.slot(), migration.from()), (cluster.slot_of("orders").await?, third));
    assert_eq!(migration.move_keys(&cluster).await?, 1);
    let asked = cluster.node(third)?.cli(&["GET", LOG]).await.unwrap_err().to_string();
    assert!(asked.contains("ASK"), "{asked}");
    assert_eq!(cluster.cli(&["GET", LOG]).await?, "value");
    migration.finish(&cluster).await?;
    assert_eq!(cluster.primary_of("orders").await?.addr(), migration.to());
    Ok(())
}
