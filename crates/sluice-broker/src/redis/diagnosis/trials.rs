//! The commands that a process sends, each in a form that changes nothing: whether the user may run them can be
//! known only by trying.

use redis::Cmd;
use sluice_wire::{IdempotencyKey, Topic};

use super::command;
use crate::redis::keys::Keys;
use crate::redis::scripts;
use crate::{BrokerError, Duties};

/// A command's name for people, and the command.
pub(in crate::redis) type Trial = (&'static str, Cmd);

/// A topic that nobody has, so that what would change one finds nothing to change.
pub(super) fn nobodys_topic() -> Result<Topic, BrokerError> {
    let name = format!("sluice.doctor/{:016x}", fastrand::u64(..));
    Topic::parse(&name).map_err(|why| BrokerError::Refused(why.to_string()))
}

/// Everything that `duties` need, tried on the keys of `topic`.
pub(in crate::redis) fn of(
    keys: &Keys,
    announce: &'static str,
    duties: Duties,
    topic: &Topic,
) -> Result<Vec<Trial>, BrokerError> {
    let strange = |why: &dyn std::fmt::Display| BrokerError::Refused(why.to_string());
    let key = IdempotencyKey::parse("doctor").map_err(|why| strange(&why))?;
    let (log, once) = (keys.log(topic), keys.once(topic, &key));
    let mut trials = Vec::new();
    if duties.reading {
        trials.extend(reading(&log, announce, &keys.probe(fastrand::u64(..))));
    }
    if duties.appending {
        trials.extend(appending(&log, &once, announce, &keys.live(topic)));
    }
    if duties.waiting {
        // For no replica, which is done at once.
        trials.push(("WAIT", command("WAIT", &["0", "1"])));
    }
    if duties.holding {
        trials.extend(holding(&keys.held(&format!("{:016x}", fastrand::u64(..))), &keys.nodes()));
    }
    Ok(trials)
}

/// What a limit that all nodes share needs. `held` is of a node that is not there, `nodes` is in use.
fn holding(held: &str, nodes: &str) -> Vec<Trial> {
    let mut trials = vec![
        ("HMGET", command("HMGET", &[held, "doctor"])),
        ("EXISTS", command("EXISTS", &[held])),
        ("HLEN", command("HLEN", &[held])),
    ];
    for key in [held, nodes] {
        trials.extend([
            // A field without a value, which is complained of once rights were looked at.
            ("HSET", command("HSET", &[key, "doctor", "", "doctor"])),
            ("HDEL", command("HDEL", &[key, "doctor"])),
            ("HKEYS", command("HKEYS", &[key])),
            // What is there stays for longer than that.
            ("PEXPIRE", command("PEXPIRE", &[key, "1", "GT"])),
        ]);
    }
    trials
}

/// What following and replaying need. Subscribing is left to a real subscriber, which changes its connection.
fn reading(log: &str, announce: &'static str, probe: &str) -> Vec<Trial> {
    vec![
        ("PING", redis::cmd("PING")),
        ("TIME", redis::cmd("TIME")),
        ("XRANGE", command("XRANGE", &[log, "-", "+", "COUNT", "1"])),
        ("XREVRANGE", command("XREVRANGE", &[log, "+", "-", "COUNT", "1"])),
        ("XREAD", command("XREAD", &["COUNT", "1", "STREAMS", log, "0-0"])),
        ("XINFO STREAM", command("XINFO", &["STREAM", log])),
        // To a channel for probes, which nobody has.
        (announce, command(announce, &[probe, "0"])),
    ]
}

/// What `publish.lua` and its callers need.
fn appending(log: &str, once: &str, announce: &'static str, live: &str) -> Vec<Trial> {
    vec![
        ("PING", redis::cmd("PING")),
        ("SCRIPT LOAD", command("SCRIPT", &["LOAD", scripts::PUBLISH_SCRIPT])),
        // Without a key the script complains before it does anything.
        ("EVALSHA", command("EVALSHA", &[scripts::publish().get_hash(), "0"])),
        ("GET", command("GET", &[once])),
        ("SET", command("SET", &[once, "", "XX", "PX", "1"])),
        ("PEXPIRE", command("PEXPIRE", &[once, "1"])),
        ("PEXPIRE", command("PEXPIRE", &[log, "1"])),
        ("XINFO STREAM", command("XINFO", &["STREAM", log])),
        ("XRANGE", command("XRANGE", &[log, "-", "+", "COUNT", "1"])),
        ("XADD", command("XADD", &[log, "NOMKSTREAM", "*", "data", ""])),
        ("XTRIM", command("XTRIM", &[log, "MINID", "~", "0"])),
        ("TIME", redis::cmd("TIME")),
        // Nobody listens to a topic that does not exist.
        (announce, command(announce, &[live, ""])),
    ]
}
