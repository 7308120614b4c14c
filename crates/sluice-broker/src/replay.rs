//! Reads a log from a position up to a fence, page by page, and tells where events are missing.
//!
//! Every page is read from the position *inclusive*: an entry that was seen before is either still there, and
//! what follows is continuous, or its absence is judged (`judge.rs`). So a log that is trimmed faster than it
//! is read, or that Redis lost the end of, is never passed over silently.

mod gap;
mod judge;
mod since;

use std::sync::Arc;
use std::time::Duration;

use sluice_wire::{Event, EventId, Topic};

pub use self::gap::{Gap, GapReason};
use self::judge::{Evidence, First, Verdict};
pub use self::since::{
    position_before_last, resolve_since, resolve_since_each, settle, settle_each, settled_ms,
};
use crate::{Broker, BrokerError, LogHead, Page};

/// What a replay starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// An event that was seen, or none yet: checked against the log.
    Seen {
        /// The event's id, or [`EventId::ZERO`] for a topic that had none. One whose `seq` is `u64::MAX` is taken
        /// for a moment, except in the last millisecond that there is.
        id: EventId,
        /// The moment up to which nothing behind `id` is missing, milliseconds; 0 where nobody vouches for more.
        /// So an event that was the topic's last for long is not mistaken for one of which the followers are gone.
        floor_ms: u64,
    },
    /// A moment, such as a floor or what `since` resolves to: trimming is told, rewinds cannot be.
    Moment(EventId),
}

impl Start {
    /// An event that was seen, of which nothing else is known.
    #[must_use]
    pub const fn seen(id: EventId) -> Self {
        Self::Seen { id, floor_ms: 0 }
    }

    /// The same, where nothing behind it up to `floor_ms` is missing either.
    #[must_use]
    pub fn with_floor(self, floor_ms: u64) -> Self {
        match self {
            Self::Seen { id, floor_ms: known } => Self::Seen { id, floor_ms: known.max(floor_ms) },
            moment @ Self::Moment(_) => moment,
        }
    }

    /// The place, whatever is known of it.
    #[must_use]
    pub fn position(self) -> EventId {
        match self {
            Self::Seen { id, .. } | Self::Moment(id) => id,
        }
    }
}

/// How a replay reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySettings {
    /// Events of one page.
    pub page_events: usize,
    /// How far before the position a rewound log is read again.
    pub rewind_margin: Duration,
}

impl Default for ReplaySettings {
    /// 128 events and 10 seconds.
    fn default() -> Self {
        Self { page_events: 128, rewind_margin: Duration::from_secs(10) }
    }
}

/// One page of a replay: first the gap, then the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayPage {
    /// What is missing before the events of this page.
    pub gap: Option<Gap>,
    /// Events behind the last page's, in order.
    pub events: Vec<Event>,
    /// Everything up to this id was handed out or told missing.
    pub position: EventId,
    /// The fence is reached; `next` answers `None` from now on.
    pub done: bool,
    /// The ids behind the last page's position of entries that are not events, so that no client can be given them.
    pub skipped: Vec<EventId>,
    /// The last entry of the log that this page saw, whether it is an event or not; `None` if it saw none.
    pub last: Option<EventId>,
}

/// A reading of one topic's log. Dropping a pending `next` loses nothing: the page is read again.
#[derive(Debug)]
pub struct Replay {
    broker: Arc<dyn Broker>,
    topic: Topic,
    position: EventId,
    seen: bool,
    floor_ms: u64,
    watched_ms: u64,
    asks_since: bool,
    past: EventId,
    to: EventId,
    settings: ReplaySettings,
    done: bool,
}

impl Replay {
    /// A replay of what is behind `from`, up to and including `to`. [`EventId::MAX`] reads to the log's end,
    /// wherever that is by then.
    #[must_use]
    pub fn new(
        broker: Arc<dyn Broker>,
        topic: Topic,
        from: Start,
        to: EventId,
        settings: ReplaySettings,
    ) -> Self {
        let (position, seen, floor_ms) = match from {
            Start::Seen { id, floor_ms } => (id, !is_moment(id), floor_ms),
            Start::Moment(id) => (id, false, 0),
        };
        let (watched_ms, asks_since, past) = (0, matches!(from, Start::Moment(_)), EventId::ZERO);
        Self {
            broker,
            topic,
            position,
            seen,
            floor_ms,
            watched_ms,
            asks_since,
            past,
            to,
            settings,
            done: false,
        }
    }

    /// The same for a reader that knows: up to `past` entries of an earlier log of the topic may be gone.
    #[must_use]
    pub fn knowing(self, past: EventId) -> Self {
        Self { past, ..self }
    }

    /// The same for a node that found nothing missing when it last looked at the log, at `watched_ms` of its clock.
    pub(crate) fn watched(self, watched_ms: u64) -> Self {
        Self { watched_ms, ..self }
    }

    /// Everything up to here was handed out or told missing.
    #[must_use]
    pub fn position(&self) -> EventId {
        self.position
    }

    /// The next page; `None` when the last one was `done`.
    ///
    /// # Errors
    ///
    /// Those of the reads; the same page may be asked for again.
    pub async fn next(&mut self) -> Result<Option<ReplayPage>, BrokerError> {
        if self.done {
            return Ok(None);
        }
        if self.position >= self.to {
            return self.at_or_beyond_fence().await.map(Some);
        }
        let mut page = self.read().await?;
        let mut verdict = self.verdict(&page).await?;
        if page.first.is_none() && matches!(verdict, Verdict::Trimmed { .. } | Verdict::Anew { .. }) {
            // The log's head was asked for after the page: what it tells of may only just have been appended.
            // A second look that finds nothing either proves that it was trimmed.
            page = self.read().await?;
            if page.first.is_some() {
                verdict = self.verdict(&page).await?;
            }
        }
        let gap = match verdict {
            Verdict::Rewound => return self.rewind().await.map(Some),
            Verdict::Continuous => None,
            Verdict::Trimmed { to, possible } => {
                Some(self.gap(to.min(self.to), GapReason::Trimmed, possible))
            }
            Verdict::Anew { to, possible } => Some(self.gap(to.min(self.to), GapReason::Expired, possible)),
            Verdict::Expired if page.first.is_none() => return self.expire().await.map(Some),
            Verdict::Expired => Some(self.gap(self.position, GapReason::Expired, true)),
        };
        Ok(Some(self.take(page, gap)))
    }

    async fn read(&self) -> Result<Page, BrokerError> {
        // One more than wanted: the first is the position itself.
        let limit = self.settings.page_events.max(1) + 1;
        self.broker.read(&self.topic, self.position, self.to, limit).await
    }

    fn take(&mut self, mut page: Page, gap: Option<Gap>) -> ReplayPage {
        let mut events = std::mem::take(&mut page.events);
        if events.first().is_some_and(|event| event.id == self.position) {
            events.remove(0);
        } else if events.len() > self.settings.page_events.max(1) {
            // The place of the position was not needed: what stands in it comes with the next page.
            events.pop();
            page.last = events.last().map(|event| event.id);
            page.more = true;
        }
        self.done = !page.more;
        let skipped = page.skipped.iter().copied().filter(|id| *id > self.position).collect();
        let read_to = page.last.or(gap.as_ref().map(|gap| gap.to)).unwrap_or(self.position);
        self.position = read_to.max(self.position);
        if page.last.is_some() {
            // What the log has just shown is an entry of it, so the next page may look for it.
            (self.seen, self.floor_ms, self.watched_ms) = (true, 0, 0);
        }
        if self.done && self.to != EventId::MAX {
            self.position = self.position.max(self.to);
        }
        ReplayPage { gap, events, position: self.position, done: self.done, skipped, last: page.last }
    }

    /// The client knows as much as the fence, or more than the node. Only a position that the log itself has
    /// not reached is worth a word.
    async fn at_or_beyond_fence(&mut self) -> Result<ReplayPage, BrokerError> {
        let mut gap = None;
        // No fence lies beyond the greatest id.
        let ahead = self.seen && (self.position > self.to || self.position == EventId::MAX);
        if ahead && self.head().await?.last < self.position {
            match self.evidence(None).await?.lost() {
                Verdict::Rewound => return self.rewind().await,
                Verdict::Expired => return self.expire().await,
                Verdict::Anew { to, possible } => gap = Some(self.gap(to, GapReason::Expired, possible)),
                Verdict::Continuous | Verdict::Trimmed { .. } => {}
            }
        }
        self.done = true;
        Ok(self.without_entries(gap))
    }

    /// The whole log is gone, and delivery goes on with whatever comes next in it. The judgement is final: the position
    /// is the end of the log as it is now, so nothing that stays as it is is told again.
    async fn expire(&mut self) -> Result<ReplayPage, BrokerError> {
        let last = self.head().await?.last;
        let gap = Some(self.gap(last, GapReason::Expired, true));
        (self.position, self.seen, self.floor_ms, self.watched_ms) = (last, last != EventId::ZERO, 0, 0);
        Ok(self.without_entries(gap))
    }

    async fn rewind(&mut self) -> Result<ReplayPage, BrokerError> {
        let margin_ms = u64::try_from(self.settings.rewind_margin.as_millis()).unwrap_or(u64::MAX);
        // A position ahead of the log says nothing of where the two parted.
        let head = self.head().await?;
        let parted_ms = self.position.ms.min(head.last.ms);
        let safe = EventId::new(parted_ms.saturating_sub(margin_ms), u64::MAX);
        // An id of the future is not a time, so nothing tells how far back the reader was.
        let is_time = self.position.ms <= self.clock_ms().await?.saturating_add(judge::CLOCK_SLACK_MS);
        let survivor = if is_time { self.broker.newest_until(&self.topic, safe).await? } else { None };
        let restart = match survivor {
            Some(event) => Start::seen(event),
            None if head.oldest.is_none() => Start::seen(head.last),
            None => self.before_oldest(head).await?,
        };
        let gap = Some(self.gap(restart.position(), GapReason::Rewound, false));
        self.position = restart.position();
        self.seen = matches!(restart, Start::Seen { id, .. } if !is_moment(id));
        (self.floor_ms, self.watched_ms) = (0, 0);
        Ok(self.without_entries(gap))
    }

    fn without_entries(&self, gap: Option<Gap>) -> ReplayPage {
        let (position, done) = (self.position, self.done);
        ReplayPage { gap, events: Vec::new(), position, done, skipped: Vec::new(), last: None }
    }

    /// The place directly before the oldest entry of the log: what is gone before it is not worth a second gap,
    /// and who joins there is told exactly what it lacks.
    async fn before_oldest(&self, head: LogHead) -> Result<Start, BrokerError> {
        let oldest = First::of(&self.broker.read(&self.topic, EventId::ZERO, EventId::MAX, 1).await?);
        Ok(match oldest {
            Some(First { prev: Some(prev), .. }) => Start::seen(prev),
            Some(First { id, prev: None }) => Start::Moment(id.before()),
            None => Start::seen(head.last),
        })
    }

    async fn verdict(&self, page: &Page) -> Result<Verdict, BrokerError> {
        let mut first = First::of(page);
        if first.is_none() && self.to != EventId::MAX {
            // What stands behind the fence tells what is gone before it.
            first = First::of(&self.broker.read(&self.topic, self.position, EventId::MAX, 1).await?);
        }
        let vouched = judge::vouched(self.position, self.floor_ms.max(self.watched_ms));
        if judge::evidently_continuous((self.position, self.seen), first, self.past, vouched) {
            return Ok(Verdict::Continuous);
        }
        Ok(judge::judge(&self.evidence(first).await?))
    }

    async fn head(&self) -> Result<LogHead, BrokerError> {
        Ok(self.broker.heads(std::slice::from_ref(&self.topic)).await?.pop().unwrap_or_default())
    }

    /// What is to be known around the position, beside the `first` entry at or behind it.
    async fn evidence(&self, first: Option<First>) -> Result<Evidence, BrokerError> {
        let at_or_before = if self.seen { self.position.before() } else { self.position };
        let older = match self.position {
            EventId::ZERO => None,
            _ => self.broker.newest_until(&self.topic, at_or_before).await?,
        };
        let head = self.head().await?;
        let clock_ms = self.clock_ms().await?;
        let age = self.broker.retention(&self.topic).horizon().filter(|_| self.position != EventId::ZERO);
        let age_ms = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Ok(Evidence {
            position: self.position,
            seen: self.seen,
            floor_ms: self.floor_ms,
            watched_ms: self.watched_ms,
            asks_since: self.asks_since,
            first,
            older: older.is_some(),
            head,
            to: self.to,
            past: self.past.max(head.past),
            clock_ms,
            horizon_ms: age_ms.map(|age_ms| clock_ms.saturating_sub(age_ms)),
        })
    }

    /// The clock that made the ids. Milliseconds.
    async fn clock_ms(&self) -> Result<u64, BrokerError> {
        Ok(self.broker.tails(&[(self.topic.clone(), EventId::MAX)], 1).await?.time_ms)
    }

    fn gap(&self, to: EventId, reason: GapReason, possible: bool) -> Gap {
        Gap { topic: self.topic.clone(), from: self.position, to, reason, possible }
    }
}

/// Whether a position is the end of a millisecond rather than an entry. No clock gets to the last millisecond that there
/// is, so what stands there is an entry that somebody wrote: it is judged like any other, or a topic whose log lost it
/// would stay behind it for ever.
fn is_moment(position: EventId) -> bool {
    position.seq == u64::MAX && position.ms != u64::MAX
}

#[cfg(test)]
mod tests;
