//! Who serves which slots, as the nodes say, and whether they all say the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::redis_server::RedisServer;

/// First and last slot of a range, and who serves it.
pub(super) type Slots = BTreeMap<(u16, u16), Shard>;

/// A primary and the replicas that are up, in the order of their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) primary: SocketAddr,
    pub(super) replicas: Vec<SocketAddr>,
}

pub(super) fn owner(slots: &Slots, slot: u16) -> Result<&Shard> {
    let mut ranges = slots.iter().filter(|((first, last), _)| (*first..=*last).contains(&slot));
    ranges.next().map(|(_, shard)| shard).with_context(|| format!("nobody serves slot {slot}"))
}

/// The map that all running nodes have, if the cluster is whole.
pub(super) async fn agreed(nodes: &[RedisServer]) -> Result<Slots> {
    let mut agreed: Option<Slots> = None;
    let running: Vec<_> = nodes.iter().filter(|node| node.is_running()).collect();
    for node in &running {
        let info = node.look().run(&["CLUSTER", "INFO"]).await?;
        let whole = info.contains("cluster_state:ok");
        ensure!(whole, "{} says {:?}", node.addr(), info.lines().next());
        let mut slots = parse(&node.ask(&["CLUSTER", "SLOTS"]).await?)?;
        for shard in slots.values_mut() {
            // A node that died is listed until its neighbours have noticed.
            shard.replicas.retain(|replica| running.iter().any(|node| node.addr() == *replica));
        }
        let served: usize = slots.keys().map(|(first, last)| usize::from(last - first) + 1).sum();
        ensure!(served == 16_384, "{} knows who serves {served} slots", node.addr());
        match &agreed {
            None => agreed = Some(slots),
            Some(others) if *others == slots => {}
            Some(others) => bail!("{} says {slots:?} and others say {others:?}", node.addr()),
        }
    }
    let agreed = agreed.context("no node is running")?;
    for node in &running {
        in_place(node, &agreed).await?;
    }
    Ok(agreed)
}

/// Whether a node has the role that the map gives it, in sync where it is a replica.
async fn in_place(node: &RedisServer, slots: &Slots) -> Result<()> {
    let role = node.ask(&["ROLE"]).await?;
    let primary = slots.values().find(|shard| shard.primary == node.addr());
    let followed = slots.values().find(|shard| shard.replicas.contains(&node.addr()));
    let fits = match (primary, followed) {
        (Some(_), _) => role[0] == "master",
        (None, Some(shard)) => {
            role[0] == "slave" && role[2] == shard.primary.port() && role[3] == "connected"
        }
        (None, None) => false,
    };
    ensure!(fits, "{} says {role}, and the map is {slots:?}", node.addr());
    Ok(())
}

/// `[[first, last, [ip, port, id, ..], replica, ..], ..]`
fn parse(answer: &Value) -> Result<Slots> {
    let mut slots = Slots::new();
    for range in answer.as_array().context("CLUSTER SLOTS gave no array")? {
        let range = range.as_array().context("a range is no array")?;
        let number = |at: usize| -> Result<u16> {
            let number = range.get(at).and_then(Value::as_u64).context("a slot is no number")?;
            Ok(u16::try_from(number)?)
        };
        let mut servers = range.iter().skip(2).map(address);
        let primary = servers.next().context("a range without a primary")??;
        let mut replicas = servers.collect::<Result<Vec<_>>>()?;
        replicas.sort();
        slots.insert((number(0)?, number(1)?), Shard { primary, replicas });
    }
    Ok(slots)
}

fn address(server: &Value) -> Result<SocketAddr> {
    // Without an endpoint (`cluster-preferred-endpoint-type unknown-endpoint`) the address is among what else is told:
    // a list of names and values, or a map.
    let told = &server[3];
    let listed = || told.as_array()?.iter().skip_while(|name| **name != "ip").nth(1)?.as_str();
    let ip = server[0].as_str().or_else(|| told["ip"].as_str()).or_else(listed).unwrap_or_default();
    let port = &server[1];
    format!("{ip}:{port}").parse().with_context(|| format!("{server} has no address"))
}
