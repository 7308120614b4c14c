//! A cluster of three primaries with a replica each, all real processes, formed without anything but redis-cli.
//!
//! Whatever takes a `key` takes a topic as well: both fall into the slot of the topic's log, which has the topic as
//! its hash tag. Every wait ends when the nodes that run agree on the map of slots, or at a deadline that says
//! what was missing.

mod formation;
mod migration;
mod state;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use self::migration::SlotMigration;

use crate::deadline::eventually;
use crate::redis_server::{RedisServer, RedisServerBuilder};

const PRIMARIES: usize = 3;
const SETTLE_WITHIN: Duration = Duration::from_secs(40);

/// What a [`RedisCluster`] is started with.
#[derive(Debug, Clone, Default)]
pub struct RedisClusterBuilder {
    server: RedisServerBuilder,
}

impl RedisClusterBuilder {
    /// Adds a line to the redis.conf of every node; see [`RedisServerBuilder::arg`].
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.server = self.server.arg(name, value);
        self
    }

    /// Whether the nodes keep an append-only file.
    #[must_use]
    pub fn appendonly(mut self, appendonly: bool) -> Self {
        self.server = self.server.appendonly(appendonly);
        self
    }

    /// Listens and dials by TLS alone, the bus too, with one authority for all; see [`RedisServerBuilder::tls`].
    pub fn tls(mut self) -> Result<Self> {
        self.server = self.server.tls_among_servers()?.arg("tls-cluster", "yes");
        Ok(self)
    }

    /// Starts six nodes, makes a cluster of them, and waits until it serves every slot.
    pub async fn start(self) -> Result<RedisCluster> {
        formation::form(self.server).await
    }
}

/// A running cluster.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    by_tls: bool,
}

impl RedisCluster {
    /// Three primaries, three replicas, nothing kept on disk.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A cluster with settings of its own.
    #[must_use]
    pub fn builder() -> RedisClusterBuilder {
        RedisClusterBuilder::default()
    }

    /// `redis+cluster://<node>,<node>,<node>`: the nodes that were primaries at the start; `rediss+..` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes[..PRIMARIES].iter().map(|node| node.addr().to_string()).collect();
        let scheme = if self.by_tls { "rediss" } else { "redis" };
        format!("{scheme}+cluster://{}", nodes.join(","))
    }

    /// All nodes, in no order that outlasts a failover.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The node at this address.
    pub fn node(&self, address: SocketAddr) -> Result<&RedisServer> {
        let node = self.nodes.iter().find(|node| node.addr() == address);
        node.with_context(|| format!("no node of the cluster is at {address}"))
    }

    /// Runs the real redis-cli with `-c` against a node that runs, following redirections.
    pub async fn cli(&self, args: &[&str]) -> Result<String> {
        self.any()?.redis_cli().cluster().run(args).await
    }

    /// As [`RedisCluster::cli`], with `input` on the standard input.
    pub async fn cli_with_stdin(&self, args: &[&str], input: &[u8]) -> Result<String> {
        self.any()?.redis_cli().cluster().run_with_stdin(args, input).await
    }

    /// The slot of a key or topic.
    pub async fn slot_of(&self, key: &str) -> Result<u16> {
        let slot = self.any()?.cli(&["CLUSTER", "KEYSLOT", key]).await?;
        slot.parse().with_context(|| format!("{slot:?} is no slot"))
    }

    /// The primary that serves a key or topic, once all nodes that run say the same.
    pub async fn primary_of(&self, key: &str) -> Result<&RedisServer> {
        let (slot, slots) = (self.slot_of(key).await?, self.slots().await?);
        self.node(state::owner(&slots, slot)?.primary)
    }

    /// A replica of the primary that serves a key or topic.
    pub async fn replica_of(&self, key: &str) -> Result<&RedisServer> {
        let (slot, slots) = (self.slot_of(key).await?, self.slots().await?);
        let replicas = &state::owner(&slots, slot)?.replicas;
        self.node(*replicas.first().with_context(|| format!("slot {slot} has no replica"))?)
    }

    /// A primary other than the one that serves a key or topic.
    pub async fn other_primary_than(&self, key: &str) -> Result<&RedisServer> {
        let (slot, slots) = (self.slot_of(key).await?, self.slots().await?);
        let serving = state::owner(&slots, slot)?.primary;
        let other = slots.values().map(|shard| shard.primary).find(|primary| *primary != serving);
        self.node(other.context("there is one primary only")?)
    }

    /// SIGKILL of the primary that serves a key or topic, and the address where it was; see
    /// [`RedisCluster::failed_over`].
    pub async fn kill_primary_of(&mut self, key: &str) -> Result<SocketAddr> {
        let address = self.primary_of(key).await?.addr();
        self.node_mut(address)?.kill()?;
        Ok(address)
    }

    /// `CLUSTER FAILOVER` by a replica of the primary that serves a key or topic: the two change places without
    /// a loss. Waits until it is over and returns where the new primary is.
    pub async fn failover_of(&self, key: &str) -> Result<SocketAddr> {
        let from = self.primary_of(key).await?.addr();
        self.replica_of(key).await?.cli(&["CLUSTER", "FAILOVER"]).await?;
        self.failed_over(key, from).await
    }

    /// Waits until another primary than `from` serves a key or topic and the cluster has settled; where it is.
    pub async fn failed_over(&self, key: &str, from: SocketAddr) -> Result<SocketAddr> {
        let slot = self.slot_of(key).await?;
        let over = eventually("the end of the failover", SETTLE_WITHIN, async || {
            let slots = state::agreed(&self.nodes).await?;
            let primary = state::owner(&slots, slot)?.primary;
            ensure!(primary != from, "{from} serves slot {slot} still");
            Ok::<_, anyhow::Error>(primary)
        });
        over.await
    }

    /// Starts a killed node again and waits until it has its place; where another took over it is a replica.
    pub async fn restart(&mut self, address: SocketAddr) -> Result<()> {
        self.node_mut(address)?.restart().await?;
        self.settled().await?;
        Ok(())
    }

    /// Waits until every node that runs calls the cluster's state ok, all agree on who serves which slot, and every
    /// replica that runs is in sync.
    pub async fn settled(&self) -> Result<()> {
        self.slots().await.map(drop)
    }

    async fn slots(&self) -> Result<state::Slots> {
        eventually("the cluster to settle", SETTLE_WITHIN, async || state::agreed(&self.nodes).await).await
    }

    fn any(&self) -> Result<&RedisServer> {
        self.nodes.iter().find(|node| node.is_running()).context("no node is running")
    }

    fn node_mut(&mut self, address: SocketAddr) -> Result<&mut RedisServer> {
        let node = self.nodes.iter_mut().find(|node| node.addr() == address);
        node.with_context(|| format!("no node of the cluster is at {address}"))
    }
}
