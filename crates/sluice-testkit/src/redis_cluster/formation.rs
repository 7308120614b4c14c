//! How six empty servers become a cluster: what `redis-cli --cluster create` does, at once instead of in turn.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::{PRIMARIES, RedisCluster, SETTLE_WITHIN};
use crate::deadline::eventually;
use crate::redis_server::{RedisServer, RedisServerBuilder, start_all};

/// The slots of the three primaries, as redis-cli would share them out.
const SLOTS: [(&str, &str); PRIMARIES] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

const SETTINGS: [(&str, &str); 5] = [
    ("cluster-node-timeout", "1500"),
    // However long a replica was away, it is the only one that a test has.
    ("cluster-replica-validity-factor", "0"),
    // A replica stays with its primary, or every failover would end in another shape.
    ("cluster-allow-replica-migration", "no"),
    ("repl-diskless-sync-delay", "0"),
    ("repl-ping-replica-period", "1"),
];

pub(super) async fn form(server: RedisServerBuilder) -> Result<RedisCluster> {
    let by_tls = server.is_by_tls();
    let nodes = start_all(vec![server.cluster().behind(&SETTINGS); 2 * PRIMARIES]).await?;
    for (epoch, node) in (1..).zip(&nodes) {
        // Different from the start: otherwise they must first find out that they collide.
        node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]).await?;
    }
    for (node, (first, last)) in nodes.iter().zip(SLOTS) {
        node.cli(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await?;
    }
    meet(&nodes).await?;
    for (index, replica) in nodes[PRIMARIES..].iter().enumerate() {
        let primary = nodes[index].cli(&["CLUSTER", "MYID"]).await?;
        replica.cli(&["CLUSTER", "REPLICATE", &primary]).await?;
    }
    let cluster = RedisCluster { nodes, by_tls };
    let whole = eventually("every primary to have its replica", SETTLE_WITHIN, async || {
        let slots = super::state::agreed(&cluster.nodes).await?;
        ensure!(slots.values().all(|shard| shard.replicas.len() == 1), "the map is {slots:?}");
        Ok::<_, anyhow::Error>(())
    });
    whole.await?;
    Ok(cluster)
}

/// Everybody is introduced to everybody, rather than left to gossip.
async fn meet(nodes: &[RedisServer]) -> Result<()> {
    for node in nodes {
        let others = nodes.iter().filter(|other| other.port() > node.port());
        let mut commands = String::new();
        for other in others {
            let bus = other.bus().map_or(0, |bus: SocketAddr| bus.port());
            commands.push_str(&format!("CLUSTER MEET 127.0.0.1 {} {bus}\n", other.port()));
        }
        if !commands.is_empty() {
            node.cli_with_stdin(&[], commands.as_bytes()).await?;
        }
    }
    let met = eventually("the nodes to have met", SETTLE_WITHIN, async || {
        for node in nodes {
            let known = node.cli(&["CLUSTER", "NODES"]).await?;
            let connected = known.lines().filter(|line| line.contains(" connected")).count();
            let introduced = !known.contains("handshake") && connected == nodes.len();
            ensure!(introduced, "{} knows\n{known}", node.addr());
        }
        Ok::<_, anyhow::Error>(())
    });
    met.await
}
