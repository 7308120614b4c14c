//! The Redis of an experiment, whatever its shape: what faults strike, and where the logs can be read in the end.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node::NodeBuilder;
use crate::redis_cli::RedisCli;
use crate::redis_cluster::RedisCluster;
use crate::redis_server::{RedisServer, RedisServerBuilder};
use crate::sentinel_set::SentinelSet;

/// In which shape Redis is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topology {
    /// One redis-server that appends every write to a file.
    Standalone,
    /// The same by TLS with client certificates, as an ACL user.
    Tls,
    /// A primary and a replica under three sentinels.
    Sentinel,
    /// Three primaries with a replica each.
    Cluster,
}

impl Topology {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Standalone, Self::Tls, Self::Sentinel, Self::Cluster];
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standalone => "standalone",
            Self::Tls => "TLS",
            Self::Sentinel => "Sentinel",
            Self::Cluster => "Cluster",
        })
    }
}

pub(crate) enum Servers {
    Single(Box<RedisServer>),
    Sentinel(Box<SentinelSet>),
    Cluster(Box<RedisCluster>),
}

impl Servers {
    pub(crate) async fn start(topology: Topology) -> Result<Self> {
        let durable = || RedisServer::builder().appendonly(true).arg("appendfsync", "always");
        Ok(match topology {
            Topology::Standalone => Self::single(durable()).await?,
            Topology::Tls => {
                Self::single(durable().tls().acl_user("sluice", "not-so-secret", "~sluice:* &sluice:* +@all"))
                    .await?
            }
            Topology::Sentinel => Self::Sentinel(Box::new(SentinelSet::start().await?)),
            Topology::Cluster => {
                // A shard that is away is to cost its own topics alone.
                let cluster = RedisCluster::builder().arg("cluster-require-full-coverage", "no");
                Self::Cluster(Box::new(cluster.start().await?))
            }
        })
    }

    async fn single(builder: RedisServerBuilder) -> Result<Self> {
        Ok(Self::Single(Box::new(builder.start().await?)))
    }

    /// Where one redis-server listens: the one shape that a proxy can stand before.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        if let Self::Single(server) = self { Some(server.addr()) } else { None }
    }

    /// The node's address of Redis, by way of a proxy where there is one.
    pub(crate) fn given_to(&self, node: NodeBuilder, through: Option<SocketAddr>) -> NodeBuilder {
        match self {
            Self::Single(server) => {
                let url = server.url_through(through.unwrap_or(server.addr()));
                let node = node.redis(&url);
                if !url.starts_with("rediss") {
                    return node;
                }
                let path = |path: std::path::PathBuf| path.display().to_string();
                node.env("SLUICE_REDIS__TLS__CA_FILE", &path(server.ca_file()))
                    .env("SLUICE_REDIS__TLS__CERT_FILE", &path(server.client_cert_file()))
                    .env("SLUICE_REDIS__TLS__KEY_FILE", &path(server.client_key_file()))
            }
            Self::Sentinel(set) => node.redis(&set.url()),
            Self::Cluster(cluster) => node.redis(&cluster.url()),
        }
    }

    /// All servers with data, primaries and replicas.
    pub(crate) fn all(&self) -> Vec<&RedisServer> {
        match self {
            Self::Single(server) => vec![server],
            Self::Sentinel(set) => set.servers().iter().collect(),
            Self::Cluster(cluster) => cluster.nodes().iter().collect(),
        }
    }

    /// The primary that has the log of `topic`.
    pub(crate) async fn primary_of(&self, topic: &str) -> Result<&RedisServer> {
        match self {
            Self::Single(server) => Ok(server),
            Self::Sentinel(set) => set.primary().await,
            Self::Cluster(cluster) => cluster.primary_of(topic).await,
        }
    }

    /// Waits until every server has its place and every replica is in sync.
    pub(crate) async fn settled(&self) -> Result<()> {
        match self {
            Self::Single(_) => Ok(()),
            Self::Sentinel(set) => set.settled().await.map(drop),
            Self::Cluster(cluster) => cluster.settled().await,
        }
    }

    /// What the log of `topic` holds: the first two words of each event.
    pub(crate) async fn log_of(&self, topic: &str) -> Result<Vec<String>> {
        let cli: RedisCli = self.primary_of(topic).await?.redis_cli();
        let log = cli.json(&["XRANGE", &format!("sluice:{{{topic}}}:log"), "-", "+"]).await?;
        log.as_array().context("XRANGE gave no array")?.iter().map(payload).collect()
    }
}

/// Of `[id, [name, value, ..]]`, the value of `data`.
fn payload(entry: &Value) -> Result<String> {
    let fields = entry[1].as_array().context("an entry without fields")?;
    let data = fields.chunks(2).find(|pair| pair[0] == "data").and_then(|pair| pair[1].as_str());
    let data = data.context("an entry without data")?;
    Ok(data.split(' ').take(2).collect::<Vec<_>>().join(" "))
}
