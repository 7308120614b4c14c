//! Slots that move from one primary to another, whole or step by step.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::{RedisCluster, SETTLE_WITHIN, state};
use crate::deadline::eventually;
use crate::redis_server::RedisServer;

const KEYS_PER_STEP: &str = "100";
/// What one MIGRATE may take, in milliseconds.
const STEP_WITHIN_MS: &str = "5000";

/// A slot on its way: both primaries know, and its keys may be at either.
///
/// Left alone it stays like that, as after an operator's tool died; [`SlotMigration::finish`] ends it.
#[derive(Debug, Clone)]
pub struct SlotMigration {
    slot: u16,
    from: SocketAddr,
    to: SocketAddr,
}

impl RedisCluster {
    /// Moves the slot of a key or topic to another primary, which is returned, and waits until all nodes know.
    pub async fn migrate_slot_of(&self, key: &str) -> Result<SocketAddr> {
        let migration = self.begin_migration_of(key).await?;
        while migration.move_keys(self).await? > 0 {}
        migration.finish(self).await?;
        Ok(migration.to)
    }

    /// Has both primaries know that the slot of a key or topic is on its way to another one. No key moves yet.
    pub async fn begin_migration_of(&self, key: &str) -> Result<SlotMigration> {
        let (from, to) = (self.primary_of(key).await?, self.other_primary_than(key).await?);
        let slot = self.slot_of(key).await?;
        let (number, from_id, to_id) = (slot.to_string(), id(from).await?, id(to).await?);
        to.cli(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from_id]).await?;
        from.cli(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &to_id]).await?;
        Ok(SlotMigration { slot, from: from.addr(), to: to.addr() })
    }
}

impl SlotMigration {
    /// The slot that is on its way.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// The primary that served it before.
    #[must_use]
    pub fn from(&self) -> SocketAddr {
        self.from
    }

    /// The primary that will serve it.
    #[must_use]
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Moves up to 100 keys and returns how many there were.
    pub async fn move_keys(&self, cluster: &RedisCluster) -> Result<usize> {
        let (from, port) = (cluster.node(self.from)?, self.to.port().to_string());
        let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &self.slot.to_string(), KEYS_PER_STEP]).await?;
        let keys: Vec<_> = keys.lines().filter(|key| !key.is_empty()).collect();
        if !keys.is_empty() {
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", STEP_WITHIN_MS, "KEYS"];
            from.cli(&[&migrate[..], &keys].concat()).await?;
        }
        Ok(keys.len())
    }

    /// Gives the slot to its new primary and waits until all nodes know. No key may be left behind.
    pub async fn finish(&self, cluster: &RedisCluster) -> Result<()> {
        let (number, to) = (self.slot.to_string(), cluster.node(self.to)?);
        let to_id = id(to).await?;
        // The new primary first, then the old one: in between each key is served by exactly one of them.
        for node in [to, cluster.node(self.from)?] {
            node.cli(&["CLUSTER", "SETSLOT", &number, "NODE", &to_id]).await?;
        }
        let known = eventually("all nodes to know where the slot is", SETTLE_WITHIN, async || {
            let slots = state::agreed(&cluster.nodes).await?;
            let primary = state::owner(&slots, self.slot)?.primary;
            ensure!(primary == self.to, "{primary} serves it");
            Ok::<_, anyhow::Error>(())
        });
        known.await.with_context(|| format!("slot {} from {} to {}", self.slot, self.from, self.to))
    }
}

async fn id(node: &RedisServer) -> Result<String> {
    node.cli(&["CLUSTER", "MYID"]).await
}
