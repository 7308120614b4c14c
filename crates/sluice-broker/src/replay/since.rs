//! Turns what a client asked for with `since` into a position.

use sluice_wire::{EventId, Since, Topic};

use crate::{Broker, BrokerError};

/// The position behind which `since` begins in the log of `topic`, a moment in the sense of
/// [`Start::Moment`](crate::Start::Moment) in every case. `now_ms` is the present, in milliseconds since the
/// Unix epoch.
///
/// # Errors
///
/// Those of the one read that `last:<n>` needs.
pub async fn resolve_since(
    broker: &dyn Broker,
    topic: &Topic,
    since: &Since,
    now_ms: u64,
) -> Result<EventId, BrokerError> {
    Ok(match since {
        Since::Earliest => EventId::ZERO,
        Since::Last(count) => broker.position_before_last(topic, *count).await?,
        Since::After(id) => *id,
        Since::At { ms } => EventId::at(*ms).before(),
        Since::Ago(age) => {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            EventId::at(now_ms.saturating_sub(age_ms)).before()
        }
    })
}
