//! Turns what a client asked for, a moment in most cases, into a place that a replay can start from.

use sluice_wire::{EventId, Since, Topic};

use super::Start;
use crate::{Broker, BrokerError};

/// Where `since` begins in the log of `topic`. `now_ms` is the present, in milliseconds since the Unix epoch.
///
/// # Errors
///
/// Those of the reads that `last:<n>` and an id need.
pub async fn resolve_since(
    broker: &dyn Broker,
    topic: &Topic,
    since: &Since,
    now_ms: u64,
) -> Result<Start, BrokerError> {
    match since {
        Since::Earliest => Ok(Start::Moment(EventId::ZERO)),
        Since::Last(count) => match broker.position_before_last(topic, *count).await? {
            // There is no event yet: should some come and go before they are read, that is to be told.
            EventId::ZERO => Ok(Start::seen(EventId::ZERO)),
            position => settle(broker, topic, position).await,
        },
        Since::After(id) => settle(broker, topic, *id).await,
        Since::At { ms } => since_moment(broker, topic, *ms, now_ms).await,
        Since::Ago(age) => {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            since_moment(broker, topic, now_ms.saturating_sub(age_ms), now_ms).await
        }
    }
}

/// Behind a moment that a new primary may not have reached yet, it would give ids before it.
async fn since_moment(
    broker: &dyn Broker,
    topic: &Topic,
    ms: u64,
    now_ms: u64,
) -> Result<Start, BrokerError> {
    let position = EventId::at(ms).before();
    if ms <= settled_ms(now_ms) { Ok(Start::Moment(position)) } else { settle(broker, topic, position).await }
}

/// The latest moment that every clock has passed which may give ids from now on. Milliseconds.
#[must_use]
pub fn settled_ms(now_ms: u64) -> u64 {
    const CLOCK_STEP_MAX_MS: u64 = 10_000;
    now_ms.saturating_sub(CLOCK_STEP_MAX_MS)
}

/// The place in the log of `topic` that stands for the moment `at`: the newest event until then.
///
/// Nothing lies between the two. But a cursor that names a moment as if it were the id of an event seems to
/// name one that the log has lost when a client comes back with it; a cursor that names an event does not.
/// Where the log no longer tells, the moment stays one, and a replay from it tells the gap.
///
/// # Errors
///
/// Those of the reads.
pub async fn settle(broker: &dyn Broker, topic: &Topic, at: EventId) -> Result<Start, BrokerError> {
    if at == EventId::ZERO {
        return Ok(Start::Moment(at));
    }
    if let Some(event) = broker.newest_until(topic, at).await? {
        return Ok(Start::seen(event));
    }
    let head = broker.heads(std::slice::from_ref(topic)).await?.pop().unwrap_or_default();
    if head.last <= at {
        return Ok(Start::seen(head.last));
    }
    let first = broker.read(topic, at.after(), EventId::MAX, 1).await?.events.pop();
    Ok(match first.and_then(|first| first.prev) {
        Some(prev) if prev <= at => Start::seen(prev),
        None if head.whole => Start::seen(EventId::ZERO),
        _ => Start::Moment(at),
    })
}
