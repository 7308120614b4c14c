//! Turns what a client asked for, a moment in most cases, into a place that a replay can start from.

use sluice_wire::{EventId, Since, Topic};

use super::Start;
use crate::{Broker, BrokerError};

/// How many entries are counted at first, when nothing is known of their size, and at most.
const COUNTED_FIRST: usize = 8;
const COUNTED_MOST: usize = 512;
/// About as much is read at once only to be counted. Bytes.
const COUNTED_BYTES: usize = 256 << 10;
/// Entries that are looked at for one position at most, if most of them are no events.
const LOOKED_AT_MAX: usize = 2 * Since::LAST_MAX;

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
    let starts = resolve_since_each(broker, std::slice::from_ref(topic), since, now_ms).await?;
    Ok(starts.first().copied().unwrap_or(Start::Moment(EventId::ZERO)))
}

/// [`resolve_since`] for each of `topics`, in order: moments take a few round trips however many topics there are.
///
/// # Errors
///
/// Those of the reads.
pub async fn resolve_since_each(
    broker: &dyn Broker,
    topics: &[Topic],
    since: &Since,
    now_ms: u64,
) -> Result<Vec<Start>, BrokerError> {
    let all_at = |at: EventId| topics.iter().map(|topic| (topic.clone(), at)).collect::<Vec<_>>();
    match since {
        Since::Earliest => Ok(vec![Start::Moment(EventId::ZERO); topics.len()]),
        Since::Last(count) => {
            let mut points = Vec::with_capacity(topics.len());
            for topic in topics {
                points.push((topic.clone(), position_before_last(broker, topic, *count).await?));
            }
            let mut starts = settle_each(broker, &points).await?;
            for (start, (topic, position)) in starts.iter_mut().zip(&points) {
                if *position == EventId::ZERO {
                    // There is no event yet: should some come and go before they are read, that is to be told.
                    // What an earlier log had is not asked for.
                    let heads = broker.heads(std::slice::from_ref(topic)).await?;
                    let past_ms = heads.first().map_or(0, |head| head.past.ms);
                    *start = Start::seen(EventId::ZERO).with_floor(past_ms);
                }
            }
            Ok(starts)
        }
        Since::After(id) => settle_each(broker, &all_at(*id)).await,
        Since::At { ms } => since_moment(broker, all_at(EventId::at(*ms).before()), *ms, now_ms).await,
        Since::Ago(age) => {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let ms = now_ms.saturating_sub(age_ms);
            since_moment(broker, all_at(EventId::at(ms).before()), ms, now_ms).await
        }
    }
}

/// Behind a moment that a new primary may not have reached yet, it would give ids before it.
async fn since_moment(
    broker: &dyn Broker,
    points: Vec<(Topic, EventId)>,
    ms: u64,
    now_ms: u64,
) -> Result<Vec<Start>, BrokerError> {
    if ms <= settled_ms(now_ms) {
        return Ok(points.into_iter().map(|(_, at)| Start::Moment(at)).collect());
    }
    settle_each(broker, &points).await
}

/// The position behind which exactly the last `count` retained events of `topic` stand (all of them if there are
/// fewer; the head for a count of 0). Entries are read backwards to be counted, about [`COUNTED_BYTES`] at once.
///
/// # Errors
///
/// Those of the reads.
pub async fn position_before_last(
    broker: &dyn Broker,
    topic: &Topic,
    count: usize,
) -> Result<EventId, BrokerError> {
    let (mut missing, mut from, mut before) = (count, EventId::MAX, None);
    let (mut entries, mut looked_at) = (COUNTED_FIRST, 0);
    while missing > 0 && looked_at < LOOKED_AT_MAX {
        let asked = missing.min(entries);
        let counted = broker.count_back(topic, from, asked).await?;
        before = counted.before.or(before);
        missing = missing.saturating_sub(counted.events);
        looked_at += asked;
        let size = counted.bytes.checked_div(counted.events).unwrap_or(0).max(1);
        entries = (COUNTED_BYTES / size).clamp(1, COUNTED_MOST);
        match counted.next {
            Some(next) => from = next,
            None => break,
        }
    }
    if let Some(position) = before {
        return Ok(position);
    }
    // No events: the position that all later ones stand behind.
    let head = broker.heads(std::slice::from_ref(topic)).await?.pop().unwrap_or_default();
    if count == 0 {
        return Ok(head.last);
    }
    // What was appended between the two looks is among the last events, too.
    let since = broker.count_back(topic, EventId::MAX, count.min(COUNTED_FIRST)).await?;
    Ok(since.before.unwrap_or(head.last))
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
    let settled = settle_each(broker, &[(topic.clone(), at)]).await?;
    Ok(settled.first().copied().unwrap_or(Start::Moment(at)))
}

/// [`settle`] for each of `points`, in order, in three round trips at most. Each topic stands in `points` at most once.
///
/// # Errors
///
/// Those of the reads. A topic whose log cannot be read by itself keeps its moment, and fails no other.
pub async fn settle_each(
    broker: &dyn Broker,
    points: &[(Topic, EventId)],
) -> Result<Vec<Start>, BrokerError> {
    let newest = broker.newest_until_each(points).await?;
    let mut starts: Vec<Start> =
        points.iter().zip(&newest).map(|((_, at), id)| id.map_or(Start::Moment(*at), Start::seen)).collect();
    let before_first: Vec<_> = points
        .iter()
        .zip(newest)
        .enumerate()
        .filter_map(|(index, (point, id))| {
            (id.is_none() && point.1 != EventId::ZERO).then_some((index, point))
        })
        .collect();
    if before_first.is_empty() {
        return Ok(starts);
    }
    let topics: Vec<Topic> = before_first.iter().map(|(_, (topic, _))| topic.clone()).collect();
    let heads = match broker.heads(&topics).await {
        Ok(heads) => heads,
        Err(error) if error.is_transient() => return Err(error),
        Err(_) => return Ok(starts),
    };
    let mut with_first = Vec::new();
    for ((index, (topic, at)), head) in before_first.into_iter().zip(heads) {
        match starts.get_mut(index) {
            Some(start) if head.last <= *at => *start = Start::seen(head.last),
            _ => with_first.push(((topic.clone(), *at), index, head)),
        }
    }
    let asked: Vec<_> = with_first.iter().map(|(point, ..)| point.clone()).collect();
    let mut behind = if asked.is_empty() { Vec::new() } else { broker.tails(&asked, 1).await?.behind };
    for (place, ((_, at), index, head)) in with_first.into_iter().enumerate() {
        let tail = behind.iter_mut().find(|tail| tail.index == place);
        let first = tail.and_then(|tail| tail.page.events.pop());
        let start = match first.and_then(|first| first.prev) {
            Some(prev) if prev <= at => Start::seen(prev),
            None if head.whole => Start::seen(EventId::ZERO),
            _ => continue,
        };
        if let Some(place) = starts.get_mut(index) {
            *place = start;
        }
    }
    Ok(starts)
}
