//! Finds the shards of a cluster by asking its nodes, any of which knows all others. The node that was asked
//! last is asked again while it belongs to the majority, so that gossip under way does not make the layout
//! flicker; one that is known to have news goes first.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use tokio::time::timeout;

use super::{Look, all_failed};
use crate::BrokerError;
use crate::redis::dial::Dialler;
use crate::redis::layout::{Layout, Shard, Slot};
use crate::redis::{failure, parse};
use crate::url::Address;

/// Nodes asked at the same time when the usual one does not answer.
const ASKED_AT_ONCE: usize = 4;

pub(in crate::redis) struct Cluster {
    /// Those of the address, which may be names of many.
    seeds: Vec<Address>,
    /// Those that the cluster named itself.
    nodes: Vec<Address>,
    dialler: Dialler,
    tls: bool,
    kept: Option<(Address, MultiplexedConnection)>,
}

/// What one node said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    shards: Vec<Shard>,
    /// Every node, replicas too.
    nodes: Vec<Address>,
    /// The node is in touch with the majority.
    sound: bool,
}

/// A node that answered, and the connection to ask it again.
struct Found {
    address: Address,
    connection: MultiplexedConnection,
    word: Word,
}

impl Cluster {
    pub(in crate::redis) fn new(seeds: Vec<Address>, dialler: Dialler, tls: bool) -> Self {
        Self { seeds, nodes: Vec::new(), dialler, tls, kept: None }
    }

    async fn ask(&self, address: Address, kept: Option<MultiplexedConnection>) -> Result<Found, BrokerError> {
        let asked = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.dialler.asking(&address).await?,
            };
            let word = question(&mut connection, &address, self.tls).await?;
            Ok((connection, word))
        };
        match timeout(self.dialler.timeouts().0, asked).await {
            Ok(Ok((connection, word))) => Ok(Found { address, connection, word }),
            Ok(Err::<_, BrokerError>(why)) => Err(why),
            Err(_) => Err(BrokerError::Unavailable(format!("Redis at {address} does not answer in time"))),
        }
    }

    /// Everybody to ask, `first` first, each once.
    fn askable(&self, first: Option<Address>) -> Vec<Address> {
        let kept = self.kept.as_ref().map(|(address, _)| address.clone());
        let mut all = Vec::new();
        for address in first.into_iter().chain(kept).chain(self.nodes.iter().chain(&self.seeds).cloned()) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    fn take(&mut self, found: Found) -> Layout {
        self.kept = Some((found.address, found.connection));
        self.nodes = found.word.nodes;
        Layout::new(found.word.shards)
    }
}

impl Look for Cluster {
    const EVERY: Duration = Duration::from_secs(2);

    async fn look(&mut self, informed: Option<Address>) -> Result<Layout, BrokerError> {
        let mut askable = self.askable(informed).into_iter();
        let Some(first) = askable.next() else {
            return Err(BrokerError::Unavailable("no node of the cluster is known".to_owned()));
        };
        let kept = self.kept.take().filter(|(address, _)| *address == first).map(|(_, kept)| kept);
        let mut unsound = None;
        let mut silent = Vec::new();
        match self.ask(first, kept).await {
            Ok(found) if found.word.sound => return Ok(self.take(found)),
            Ok(cut_off) => unsound = Some(cut_off),
            Err(why) => silent.push(why),
        }
        let rest: Vec<_> = askable.collect();
        for some in rest.chunks(ASKED_AT_ONCE) {
            let asked = some.iter().map(|address| self.ask(address.clone(), None));
            let mut asked: FuturesUnordered<_> = asked.collect();
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(found) if found.word.sound => {
                        drop(asked);
                        return Ok(self.take(found));
                    }
                    Ok(cut_off) => unsound = unsound.or(Some(cut_off)),
                    Err(why) => silent.push(why),
                }
            }
        }
        // Better what a part of the cluster knows than nothing.
        match unsound {
            Some(found) => Ok(self.take(found)),
            None => Err(all_failed("no node of the Redis cluster can be used", &silent)),
        }
    }
}

async fn question(
    connection: &mut MultiplexedConnection,
    asked: &Address,
    tls: bool,
) -> Result<Word, BrokerError> {
    let mut questions = Pipeline::with_capacity(2);
    questions.cmd("CLUSTER").arg("SHARDS");
    questions.cmd("CLUSTER").arg("INFO");
    let answers = connection.send_packed_commands(&questions, 0, 2).await;
    let answers = answers.map_err(|error| failure::of(&error, asked))?;
    let odd = || failure::odd("CLUSTER SHARDS", "shards");
    let [shards, info] = <[Value; 2]>::try_from(answers).map_err(|_| odd())?;
    // Who may not ask that is not told of a minority.
    let sound = parse::text(&info).is_none_or(|info| info.contains("cluster_state:ok"));
    let word = match shards {
        Value::ServerError(error) if error.code() == "ERR" && !no_cluster(error.details()) => {
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("SLOTS");
            let answer = connection.send_packed_command(&slots).await;
            let answer = answer.map_err(|error| failure::of(&error, asked))?;
            of_slots(&failure::checked(answer)?, asked)
        }
        Value::ServerError(error) if no_cluster(error.details()) => {
            return Err(BrokerError::Refused(format!(
                "Redis at {asked} is no node of a cluster; set redis.url to redis://{asked}"
            )));
        }
        answer => of_shards(&failure::checked(answer)?, asked, tls),
    };
    let (shards, nodes) = word.ok_or_else(odd)?;
    if shards.iter().all(|shard| shard.slots.is_empty()) {
        let why = format!("Redis at {asked} knows no slots: the cluster is not formed yet");
        return Err(BrokerError::Unavailable(why));
    }
    Ok(Word { shards, nodes, sound })
}

fn no_cluster(details: Option<&str>) -> bool {
    details.is_some_and(|details| details.contains("cluster support disabled"))
}

/// CLUSTER SHARDS.
fn of_shards(answer: &Value, asked: &Address, tls: bool) -> Option<(Vec<Shard>, Vec<Address>)> {
    let (mut shards, mut all) = (Vec::new(), Vec::new());
    for shard in list(answer)? {
        let (mut slots, mut primary): (_, Option<(bool, Address)>) = (Vec::new(), None);
        for (name, value) in parse::fields(shard)? {
            match parse::text(name) {
                Some("slots") => slots = ranges(list(value)?)?,
                Some("nodes") => {
                    for node in list(value)? {
                        let Some(node) = node_of(node, asked, tls) else { continue };
                        all.push(node.address.clone());
                        // A primary that failed stands beside the one that took over.
                        if node.primary && primary.as_ref().is_none_or(|(online, _)| !online && node.online) {
                            primary = Some((node.online, node.address));
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some((_, primary)) = primary {
            shards.push(Shard { primary, slots });
        }
    }
    Some((shards, all))
}

struct Node {
    address: Address,
    primary: bool,
    online: bool,
}

fn node_of(node: &Value, asked: &Address, tls: bool) -> Option<Node> {
    let (mut endpoint, mut ip, mut port, mut tls_port) = (None, None, None, None);
    let (mut primary, mut online) = (false, true);
    for (name, value) in parse::fields(node)? {
        match parse::text(name)? {
            "endpoint" => endpoint = parse::text(value),
            "ip" => ip = parse::text(value),
            "port" => port = number(value),
            "tls-port" => tls_port = number(value),
            "role" => primary = parse::text(value) == Some("master"),
            "health" => online = parse::text(value) == Some("online"),
            _ => {}
        }
    }
    let port = if tls { tls_port.or(port) } else { port.or(tls_port) }?;
    let host = host(endpoint, ip, asked);
    Some(Node { address: Address { host, port }, primary, online })
}

/// A node without an endpoint (NULL or empty) is where it was asked, whatever its address: that is what
/// `cluster-preferred-endpoint-type unknown-endpoint` is for. One without the name that it should announce (`?`)
/// has its address. Source: the documentation of CLUSTER SHARDS and CLUSTER SLOTS.
fn host(endpoint: Option<&str>, ip: Option<&str>, asked: &Address) -> String {
    let named = match endpoint {
        Some("?") => ip,
        endpoint => endpoint,
    };
    named.filter(|host| !host.is_empty()).unwrap_or(&asked.host).to_owned()
}

/// CLUSTER SLOTS, of servers before 7.0.
fn of_slots(answer: &Value, asked: &Address) -> Option<(Vec<Shard>, Vec<Address>)> {
    let (mut shards, mut all) = (Vec::new(), Vec::new());
    for range in list(answer)? {
        let [first, last, nodes @ ..] = list(range)? else { return None };
        let addresses = nodes.iter().filter_map(|node| {
            let [name, port, ..] = list(node)? else { return None };
            Some(Address { host: host(parse::text(name), None, asked), port: number(port)? })
        });
        let addresses: Vec<_> = addresses.collect();
        let slots = ranges(&[first.clone(), last.clone()])?;
        shards.extend(addresses.first().map(|primary| Shard { primary: primary.clone(), slots }));
        all.extend(addresses);
    }
    Some((shards, all))
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(list) => Some(list),
        _ => None,
    }
}

fn ranges(flat: &[Value]) -> Option<Vec<(Slot, Slot)>> {
    flat.chunks_exact(2).map(|pair| Some((number(&pair[0])?, number(&pair[1])?))).collect()
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        value => parse::text(value)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
