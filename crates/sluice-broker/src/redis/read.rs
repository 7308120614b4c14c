//! Reading logs: ranges in both directions, heads, and the ends of many logs at once.

use redis::{Cmd, Pipeline, Value};
use sluice_wire::{EventId, Topic};

use super::keys::Keys;
use super::pool::Pool;
use super::{failure, parse};
use crate::{BrokerError, LogHead, Page, Tail, Tails};

/// Entries of one read where only their ids are wanted.
const COUNTING_PAGE: usize = 512;

/// The oldest `limit` entries with `from <= id <= to`.
pub(super) async fn range(
    pool: &Pool,
    log: &str,
    from: EventId,
    to: EventId,
    limit: usize,
) -> Result<Page, BrokerError> {
    let mut command = redis::cmd("XRANGE");
    command.arg(log).arg(from.to_string()).arg(to.to_string()).arg("COUNT").arg(limit);
    parse::page(pool.command(&command).await?, limit)
}

/// The newest `limit` entries with `id <= from`, newest first.
pub(super) async fn backwards(
    pool: &Pool,
    log: &str,
    from: EventId,
    limit: usize,
) -> Result<Page, BrokerError> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(log).arg(from.to_string()).arg("-").arg("COUNT").arg(limit);
    parse::page(pool.command(&command).await?, limit)
}

pub(super) async fn heads(pool: &Pool, keys: &Keys, topics: &[Topic]) -> Result<Vec<LogHead>, BrokerError> {
    let mut pipeline = Pipeline::with_capacity(topics.len());
    for topic in topics {
        pipeline.cmd("XINFO").arg("STREAM").arg(keys.log(topic));
    }
    let answers = pool.pipeline(&pipeline).await?;
    answers
        .into_iter()
        .map(|answer| match answer {
            Value::ServerError(error) if failure::is_no_key(&error) => Ok(LogHead::default()),
            answer => parse::head(failure::checked(answer)?),
        })
        .collect()
}

pub(super) async fn position_before_last(
    pool: &Pool,
    keys: &Keys,
    topic: &Topic,
    count: usize,
) -> Result<EventId, BrokerError> {
    if count == 0 {
        let heads = heads(pool, keys, std::slice::from_ref(topic)).await?;
        return Ok(heads.first().map_or(EventId::ZERO, |head| head.last));
    }
    let log = keys.log(topic);
    let (mut missing, mut from, mut before) = (count, EventId::MAX, None);
    while missing > 0 {
        // Entries that are no events do not count, so what is missing may take several reads.
        let page = backwards(pool, &log, from, missing.min(COUNTING_PAGE)).await?;
        let counted = page.events.iter().take(missing);
        before = counted.map(|event| event.id.before()).last().or(before);
        missing -= page.events.len().min(missing);
        match page.last {
            Some(oldest) if page.more => from = oldest.before(),
            _ => break,
        }
    }
    match before {
        Some(position) => Ok(position),
        // No events: the position that all later ones stand behind.
        None => Ok(heads(pool, keys, std::slice::from_ref(topic))
            .await?
            .first()
            .map_or(EventId::ZERO, |h| h.last)),
    }
}

pub(super) async fn tails(
    pool: &Pool,
    keys: &Keys,
    positions: &[(Topic, EventId)],
    limit: usize,
) -> Result<Tails, BrokerError> {
    let logs: Vec<String> = positions.iter().map(|(topic, _)| keys.log(topic)).collect();
    let mut pipeline = Pipeline::with_capacity(2);
    // Before the read, in the same pipeline: what has an id up to then was there to be read.
    pipeline.cmd("TIME");
    if !positions.is_empty() {
        pipeline.add_command(xread(&logs, positions.iter().map(|(_, position)| *position), limit));
    }
    let mut answers = pool.pipeline(&pipeline).await?.into_iter();
    let time = failure::checked(answers.next().unwrap_or(Value::Nil))?;
    let mut tails = Tails { time_ms: parse::time_ms(&time)?, ..Tails::default() };
    match answers.next() {
        Some(Value::ServerError(error)) if failure::is_wrong_type(&error) => {
            one_by_one(pool, &logs, positions, limit, &mut tails).await?;
        }
        Some(answer) => tails.behind = behind(failure::checked(answer)?, &logs, limit)?,
        None => {}
    }
    Ok(tails)
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

/// One key that is not a stream fails the whole XREAD; asked one by one, it fails for itself.
async fn one_by_one(
    pool: &Pool,
    logs: &[String],
    positions: &[(Topic, EventId)],
    limit: usize,
    tails: &mut Tails,
) -> Result<(), BrokerError> {
    let mut pipeline = Pipeline::with_capacity(logs.len());
    for (log, (_, position)) in logs.iter().zip(positions) {
        pipeline.add_command(xread(std::slice::from_ref(log), std::iter::once(*position), limit));
    }
    for (index, answer) in pool.pipeline(&pipeline).await?.into_iter().enumerate() {
        match answer {
            Value::ServerError(error) if failure::is_wrong_type(&error) => tails.unreadable.push(index),
            answer => {
                let found = behind(failure::checked(answer)?, &logs[index..=index], limit)?;
                tails.behind.extend(found.into_iter().map(|tail| Tail { index, ..tail }));
            }
        }
    }
    Ok(())
}
