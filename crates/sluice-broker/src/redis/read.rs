//! Reading logs: ranges in both directions, heads, and the ends of many logs at once.

use redis::{Cmd, Value};
use sluice_wire::{EventId, Topic};

use super::keys::Keys;
use super::servers::{Answers, Request, Routed, Servers};
use super::{failure, parse, pasts};
use crate::{BrokerError, LogHead, Page, Tail, Tails};

/// The oldest `limit` entries with `from <= id <= to`.
pub(super) async fn range(
    servers: &Servers,
    keys: &Keys,
    topic: &Topic,
    (from, to): (EventId, EventId),
    limit: usize,
) -> Result<Page, BrokerError> {
    let mut command = redis::cmd("XRANGE");
    command.arg(keys.log(topic)).arg(from.to_string()).arg(to.to_string()).arg("COUNT").arg(limit);
    parse::page(servers.read(keys.slot(topic), command).await?, limit)
}

/// The newest `limit` entries with `id <= from`, newest first.
pub(super) async fn backwards(
    servers: &Servers,
    keys: &Keys,
    topic: &Topic,
    from: EventId,
    limit: usize,
) -> Result<Page, BrokerError> {
    parse::page(servers.read(keys.slot(topic), read_back(keys, topic, from, limit)).await?, limit)
}

fn read_back(keys: &Keys, topic: &Topic, from: EventId, limit: usize) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(keys.log(topic)).arg(from.to_string()).arg("-").arg("COUNT").arg(limit);
    command
}

/// Removes the entries with ids less than `before`.
pub(super) async fn trim(
    servers: &Servers,
    keys: &Keys,
    topic: &Topic,
    before: EventId,
) -> Result<(), BrokerError> {
    let mut command = redis::cmd("XTRIM");
    command.arg(keys.log(topic)).arg("MINID").arg(before.to_string());
    let commands = vec![Routed { slot: keys.slot(topic), command }];
    let request = Request { changes: true, ..Request::reading(commands) };
    let answer = servers.ask(request).await.answers.pop();
    failure::checked(answer.unwrap_or_else(|| Err(failure::odd("XTRIM", "answer")))?).map(drop)
}

pub(super) async fn heads(
    servers: &Servers,
    keys: &Keys,
    topics: &[Topic],
) -> Result<Vec<LogHead>, BrokerError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let commands = topics.iter().map(|topic| {
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(keys.log(topic));
        Routed { slot: keys.slot(topic), command }
    });
    let answers = servers.ask(Request::reading(commands.collect())).await.answers;
    let heads = answers.into_iter().map(|answer| match answer? {
        Value::ServerError(error) if failure::is_no_key(&error) => Ok(LogHead::default()),
        answer => parse::head(failure::checked(answer)?),
    });
    let mut heads = heads.collect::<Result<Vec<_>, BrokerError>>()?;
    pasts::complete(servers, keys, topics, &mut heads).await?;
    Ok(heads)
}

/// The newest id at or before each of `points`, in one round trip. There is none where a key cannot be read.
pub(super) async fn newest_until_each(
    servers: &Servers,
    keys: &Keys,
    points: &[(Topic, EventId)],
) -> Result<Vec<Option<EventId>>, BrokerError> {
    if points.is_empty() {
        return Ok(Vec::new());
    }
    let commands = points
        .iter()
        .map(|(topic, at)| Routed { slot: keys.slot(topic), command: read_back(keys, topic, *at, 1) });
    let answers = servers.ask(Request::reading(commands.collect())).await.answers;
    answers
        .into_iter()
        .map(|answer| match answer? {
            Value::ServerError(error) if failure::is_of_one_key(&error) => Ok(None),
            answer => Ok(parse::page(failure::checked(answer)?, 1)?.first),
        })
        .collect()
}

pub(super) async fn tails(
    servers: &Servers,
    keys: &Keys,
    positions: &[(Topic, EventId)],
    limit: usize,
) -> Result<Tails, BrokerError> {
    let logs: Vec<String> = positions.iter().map(|(topic, _)| keys.log(topic)).collect();
    if servers.is_cluster() {
        return one_by_one(servers, keys, &logs, positions, limit).await;
    }
    let together = positions.first().map(|(first, _)| {
        let command = xread(&logs, positions.iter().map(|(_, position)| *position), limit);
        Routed { slot: keys.slot(first), command }
    });
    let Answers { prefaces, answers, .. } = servers.ask(after_time(together.into_iter().collect())).await;
    let behind = match answers.into_iter().next().transpose()? {
        Some(Value::ServerError(error)) if failure::is_of_one_key(&error) => {
            return one_by_one(servers, keys, &logs, positions, limit).await;
        }
        Some(answer) => behind(failure::checked(answer)?, &logs, limit)?,
        None => Vec::new(),
    };
    Ok(Tails { time_ms: time_ms(prefaces)?, behind, ..Tails::default() })
}

/// Every server's clock is read ahead of its logs, in the same pipeline: what has an id up to then was there
/// to be read.
fn after_time(commands: Vec<Routed>) -> Request {
    Request { preface: Some(redis::cmd("TIME")), ..Request::reading(commands) }
}

/// The clock of whoever is furthest behind.
fn time_ms(prefaces: Vec<Value>) -> Result<u64, BrokerError> {
    let mut earliest: Option<u64> = None;
    for time in prefaces {
        let time_ms = parse::time_ms(&failure::checked(time)?)?;
        earliest = Some(earliest.map_or(time_ms, |earliest| earliest.min(time_ms)));
    }
    earliest.ok_or_else(|| BrokerError::Unavailable("no server told the time".to_owned()))
}

fn xread(logs: &[String], positions: impl Iterator<Item = EventId>, limit: usize) -> Cmd {
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(limit).arg("STREAMS").arg(logs);
    for position in positions {
        command.arg(position.to_string());
    }
    command
}

/// Finds the index of each answered stream; they come in the order asked, without those that have nothing.
fn behind(answer: Value, logs: &[String], limit: usize) -> Result<Vec<Tail>, BrokerError> {
    let mut found = Vec::new();
    let mut next = 0;
    for (key, entries) in parse::streams(answer)? {
        let name = parse::text(&key).ok_or_else(|| failure::odd("XREAD", "key of a stream"))?;
        let index = logs[next..].iter().position(|log| log == name).map(|skipped| next + skipped);
        let index = index.ok_or_else(|| failure::odd("XREAD", "stream that was asked for"))?;
        next = index + 1;
        found.push(Tail { index, page: parse::page(entries, limit)? });
    }
    Ok(found)
}

/// A read for each log. Where keys have servers of their own there is no other way; and one key that is not a
/// stream, or may not be read, fails for itself so, but fails a whole XREAD.
async fn one_by_one(
    servers: &Servers,
    keys: &Keys,
    logs: &[String],
    positions: &[(Topic, EventId)],
    limit: usize,
) -> Result<Tails, BrokerError> {
    let commands = logs.iter().zip(positions).map(|(log, (topic, position))| Routed {
        slot: keys.slot(topic),
        command: xread(std::slice::from_ref(log), std::iter::once(*position), limit),
    });
    let Answers { prefaces, answers, .. } = servers.ask(after_time(commands.collect())).await;
    let mut tails = Tails::default();
    for (index, answer) in answers.into_iter().enumerate() {
        match answer? {
            Value::ServerError(error) if failure::is_of_one_key(&error) => tails.unreadable.push(index),
            answer => {
                let found = behind(failure::checked(answer)?, &logs[index..=index], limit)?;
                tails.behind.extend(found.into_iter().map(|tail| Tail { index, ..tail }));
            }
        }
    }
    tails.time_ms = time_ms(prefaces)?;
    Ok(tails)
}
