//! Everything that runs in an experiment: Redis, gateways, a publisher, and the proxies between them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use fastrand::Rng;
use futures_util::future::try_join_all;

use super::Experiment;
use super::servers::Servers;
use crate::node::{Node, NodeBuilder, Role};
use crate::proxy::Proxy;

/// So that a link that went silent is found within seconds, as the waits of a test are.
const QUICK: [(&str, &str); 4] = [
    ("SLUICE_REDIS__PROBE_INTERVAL_MS", "200"),
    ("SLUICE_REDIS__PROBE_DEADLINE_MS", "1000"),
    ("SLUICE_REDIS__CONNECT_TIMEOUT_MS", "1000"),
    ("SLUICE_REDIS__RESPONSE_TIMEOUT_MS", "1000"),
];

pub(super) struct Stage {
    /// Ahead of everything else: fields drop in order, and nodes go first.
    pub(super) gateways: Vec<Node>,
    pub(super) publisher: Node,
    /// Before the publisher's HTTP listener.
    pub(super) door: Proxy,
    pub(super) links: Option<Links>,
    pub(super) servers: Servers,
    /// What [`Stage::mend`] starts again.
    pub(super) killed_gateway: Option<usize>,
    pub(super) killed_server: Option<SocketAddr>,
}

/// Before a single redis-server.
pub(super) struct Links {
    pub(super) gateways: Proxy,
    pub(super) publisher: Proxy,
}

impl Stage {
    pub(super) async fn set(experiment: &Experiment) -> Result<Self> {
        let servers = Servers::start(experiment.topology).await?;
        let links = match servers.address() {
            Some(address) => Some(Links {
                gateways: Proxy::start(address).await?,
                publisher: Proxy::start(address).await?,
            }),
            None => None,
        };
        let node = |role, through: Option<&Proxy>| -> NodeBuilder {
            let node = servers.given_to(Node::builder(&experiment.binary, role), through.map(Proxy::addr));
            let node = QUICK.iter().fold(node, |node, (name, value)| node.env(name, value));
            experiment.env.iter().fold(node, |node, (name, value)| node.env(name, value))
        };
        let gateway = |_| node(Role::Gateway, links.as_ref().map(|links| &links.gateways)).spawn();
        let publisher = node(Role::Publisher, links.as_ref().map(|links| &links.publisher)).spawn();
        let (gateways, publisher) =
            tokio::try_join!(try_join_all((0..experiment.gateways).map(gateway)), publisher)?;
        let door = Proxy::start(publisher.publisher_addr()).await?;
        Ok(Self { gateways, publisher, door, links, servers, killed_gateway: None, killed_server: None })
    }

    /// Where clients subscribe.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(Node::addr).collect()
    }

    /// Where clients publish.
    pub(super) fn door(&self) -> SocketAddr {
        self.door.addr()
    }

    pub(super) fn any_gateway(&self, rng: &mut Rng) -> usize {
        rng.usize(..self.gateways.len())
    }

    /// Starts again what a fault has killed for good.
    pub(super) async fn mend(&mut self) -> Result<()> {
        if let Some(gateway) = self.killed_gateway.take() {
            self.gateways[gateway].restart().await?;
        }
        if let Some(address) = self.killed_server.take() {
            match &mut self.servers {
                Servers::Single(server) => server.restart().await?,
                Servers::Sentinel(set) => set.restart(address).await?,
                Servers::Cluster(cluster) => cluster.restart(address).await?,
            }
        }
        self.servers.settled().await
    }

    pub(super) fn links(&self) -> Result<&Links> {
        self.links.as_ref().context("there are no proxies before this Redis")
    }
}
