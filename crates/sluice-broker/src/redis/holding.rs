//! Holdings of nodes: a hash a node, with a field a name, that expires as a whole when its node falls silent; and a hash
//! of the nodes there are. So a word of a node is a few commands, whatever the number of names, each about one key.

use std::collections::HashSet;
use std::sync::Arc;

use redis::{Cmd, Value};

use super::keys::Keys;
use super::layout;
use super::servers::{Request, Routed, Servers};
use super::{failure, parse};
use crate::{BrokerError, Holding, ReplicaWait};

/// Fields of one command.
const FIELDS_MAX: usize = 1_000;

pub(super) async fn hold(
    servers: &Servers,
    keys: &Keys,
    holding: Holding<'_>,
) -> Result<Vec<u64>, BrokerError> {
    let others = say(servers, keys, &holding).await?;
    if holding.whole && !others.is_empty() {
        strike_out_the_gone(servers, keys, &others).await?;
    }
    ask(servers, keys, holding.asked, &others).await
}

/// Writes what the node holds; the other nodes there are.
async fn say(servers: &Servers, keys: &Keys, holding: &Holding<'_>) -> Result<Vec<String>, BrokerError> {
    let Holding { node, held, whole, lease, .. } = *holding;
    let (own, nodes) = (keys.held(node), keys.nodes());
    let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut commands = Vec::new();
    let (kept, given_back): (Vec<_>, Vec<_>) = held.iter().partition(|(_, count)| *count > 0);
    for part in kept.chunks(FIELDS_MAX) {
        let mut set = command("HSET", &own);
        for (name, count) in part {
            set.arg(&**name).arg(*count);
        }
        commands.push(set);
    }
    for part in given_back.chunks(FIELDS_MAX) {
        commands.push(without(&own, part.iter().map(|(name, _)| &**name)));
    }
    let length_at = commands.len();
    if whole {
        commands.push(command("HLEN", &own));
    }
    let mut expire = command("PEXPIRE", &own);
    expire.arg(lease_ms);
    commands.push(expire);
    let mut enter = command("HSET", &nodes);
    enter.arg(node).arg("");
    let mut keep = command("PEXPIRE", &nodes);
    // Whoever is there renews it: once it is gone, so is everybody's lease.
    keep.arg(lease_ms);
    let (at_own, at_nodes) = (layout::slot(own.as_bytes()), layout::slot(nodes.as_bytes()));
    let mut routed: Vec<Routed> = routed(at_own, commands).collect();
    routed.extend(self::routed(at_nodes, [enter, keep, command("HKEYS", &nodes)]));
    let mut answers = change(servers, routed).await?;
    let length = Value::Int(i64::try_from(kept.len()).unwrap_or(i64::MAX));
    if whole && answers.get(length_at) != Some(&length) {
        let kept: HashSet<&str> = kept.iter().map(|(name, _)| &**name).collect();
        forget_all_but(servers, &own, &kept).await?;
    }
    let known = answers.pop().ok_or_else(|| failure::odd("HKEYS", "answer"))?;
    let Value::Array(known) = known else { return Err(failure::odd("HKEYS", "fields")) };
    let known = known.iter().filter_map(parse::text).filter(|other| *other != node);
    Ok(known.map(str::to_owned).collect())
}

/// Takes out what the node has not said it holds: it was given back in a word that did not arrive. What it holds is
/// there all the time, so that nobody who asks meanwhile takes it for free.
async fn forget_all_but(servers: &Servers, own: &str, kept: &HashSet<&str>) -> Result<(), BrokerError> {
    let slot = layout::slot(own.as_bytes());
    let Value::Array(there) = servers.read(slot, command("HKEYS", own)).await? else {
        return Err(failure::odd("HKEYS", "fields"));
    };
    let gone: Vec<&str> = there.iter().filter_map(parse::text).filter(|name| !kept.contains(name)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let deletes = gone.chunks(FIELDS_MAX).map(|part| without(own, part.iter().copied()));
    change(servers, routed(slot, deletes).collect()).await.map(drop)
}

fn without<'n>(key: &str, names: impl Iterator<Item = &'n str>) -> Cmd {
    let mut delete = command("HDEL", key);
    for name in names {
        delete.arg(name);
    }
    delete
}

/// Forgets nodes without a lease. One that lives all the same, and holds nothing, enters itself with its next word.
async fn strike_out_the_gone(servers: &Servers, keys: &Keys, others: &[String]) -> Result<(), BrokerError> {
    let exist = others.iter().map(|other| {
        let key = keys.held(other);
        Routed { slot: layout::slot(key.as_bytes()), command: command("EXISTS", &key) }
    });
    let answers = servers.ask(Request::reading(exist.collect())).await.answers;
    let mut strike_out = command("HDEL", &keys.nodes());
    let mut any = false;
    for (other, answer) in others.iter().zip(answers) {
        if failure::checked(answer?)? == Value::Int(0) {
            strike_out.arg(other);
            any = true;
        }
    }
    if any {
        let slot = layout::slot(keys.nodes().as_bytes());
        change(servers, vec![Routed { slot, command: strike_out }]).await?;
    }
    Ok(())
}

/// How many `others` hold of each name asked.
async fn ask(
    servers: &Servers,
    keys: &Keys,
    asked: &[Arc<str>],
    others: &[String],
) -> Result<Vec<u64>, BrokerError> {
    let mut counts = vec![0; asked.len()];
    if asked.is_empty() || others.is_empty() {
        return Ok(counts);
    }
    let (mut commands, mut parts) = (Vec::new(), Vec::new());
    for key in others.iter().map(|other| keys.held(other)) {
        let slot = layout::slot(key.as_bytes());
        for (at, part) in asked.chunks(FIELDS_MAX).enumerate() {
            let mut get = command("HMGET", &key);
            for name in part {
                get.arg(&**name);
            }
            commands.push(Routed { slot, command: get });
            parts.push(at * FIELDS_MAX);
        }
    }
    let answers = servers.ask(Request::reading(commands)).await.answers;
    for (from, answer) in parts.into_iter().zip(answers) {
        let Value::Array(values) = failure::checked(answer?)? else {
            return Err(failure::odd("HMGET", "values"));
        };
        for (count, value) in counts[from..].iter_mut().zip(values) {
            // A field that is no number was written by somebody else.
            *count += parse::text(&value).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(counts)
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

fn routed(slot: layout::Slot, commands: impl IntoIterator<Item = Cmd>) -> impl Iterator<Item = Routed> {
    commands.into_iter().map(move |command| Routed { slot, command })
}

/// Sends commands that change something; their answers, unless one of them failed.
async fn change(servers: &Servers, commands: Vec<Routed>) -> Result<Vec<Value>, BrokerError> {
    let request = Request { commands, preface: None, changes: true, wait: ReplicaWait::default() };
    let answers = servers.ask(request).await.answers;
    answers.into_iter().map(|answer| failure::checked(answer?)).collect()
}
