//! What is known of logs that are gone. A log that began anew must not hide what a cursor missed, so `publish.lua` keeps a
//! record, for each topic, of the moment until which its log may have had entries; it outlives the log.
//!
//! The record may be missing, or may not be read by this user. Then nothing is known, which is no error.

use sluice_wire::{EventId, Topic};

use super::keys::Keys;
use super::servers::{Request, Routed, Servers};
use super::{failure, parse};
use crate::{BrokerError, LogHead};

/// Completes the heads of those of `topics` that have no log: with what an earlier one may have had.
pub(super) async fn complete(
    servers: &Servers,
    keys: &Keys,
    topics: &[Topic],
    heads: &mut [LogHead],
) -> Result<(), BrokerError> {
    let absent = || heads.iter().zip(topics).filter(|(head, _)| head.last == EventId::ZERO);
    let records = absent().map(|(_, topic)| {
        let mut command = redis::cmd("GET");
        command.arg(keys.past(topic));
        Routed { slot: keys.slot(topic), command }
    });
    let records: Vec<_> = records.collect();
    if records.is_empty() {
        return Ok(());
    }
    let mut answers = servers.ask(Request::reading(records)).await.answers.into_iter();
    for head in heads.iter_mut().filter(|head| head.last == EventId::ZERO) {
        let Some(answer) = answers.next() else { break };
        let record = failure::checked(answer?).ok();
        let past_ms = record.as_ref().and_then(parse::text).and_then(|text| text.parse().ok());
        head.past = past_ms.map_or(EventId::ZERO, |ms| EventId::new(ms, u64::MAX));
    }
    Ok(())
}
