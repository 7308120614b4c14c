//! The judgement whether a log goes on directly behind a position. Pure: evidence in, verdict out.
//!
//! A log may be another one than the reader knew: it expired or was deleted, and began anew. Its first entry says so
//! in its `prev`: [`EventId::ZERO`] where nothing is known of an earlier log, else a **moment** (an id whose `seq` is
//! `u64::MAX`) up to which an earlier log had entries.

use sluice_wire::EventId;

use crate::{LogHead, Page};

/// How far an id may be ahead of the clock and still be taken for a time. `publish.lua` has the same limit.
pub(super) const CLOCK_SLACK_MS: u64 = 60_000;

/// The last entry of an earlier log is at most so much older than the moment that is known of it.
const PAST_SLACK_MS: u64 = 60_000;

/// A log that began so soon after everything was known to be there is taken for the first one of its topic.
const FIRST_LOG_MS: u64 = 15_000;

/// What is known of a log around a position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// Where the reader stands.
    pub(super) position: EventId,
    /// The position is an event that the reader saw, not only a moment.
    pub(super) seen: bool,
    /// Nothing behind the position up to this moment is missing; 0 where nothing vouches for more.
    pub(super) floor_ms: u64,
    /// As `floor_ms`, by the node's last look at the log instead of by what holds after a failover too.
    pub(super) watched_ms: u64,
    /// The reader asked for what there is since a moment: it never had a place in an earlier log.
    pub(super) asks_since: bool,
    /// The first entry at or behind the position.
    pub(super) first: Option<First>,
    /// The log has entries before the position (for a moment: at or before it).
    pub(super) older: bool,
    /// Where the log stands; read after `first`.
    pub(super) head: LogHead,
    /// The join point of the read; an id that the log is known to have reached, or [`EventId::MAX`].
    pub(super) to: EventId,
    /// Up to here entries of an earlier log of the topic may be gone, as far as the node knows.
    pub(super) past: EventId,
    /// The clock of the log's server; milliseconds.
    pub(super) clock_ms: u64,
    /// Events of before this moment may have gone with their expired log.
    pub(super) horizon_ms: Option<u64>,
}

/// An entry and what its writer said stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) id: EventId,
    pub(super) prev: Option<EventId>,
}

impl First {
    /// The first entry of `page`.
    pub(super) fn of(page: &Page) -> Option<Self> {
        let id = page.first?;
        let event = page.events.first().filter(|event| event.id == id);
        Some(Self { id, prev: event.and_then(|event| event.prev) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was read stands directly behind the position.
    Continuous,
    /// Events up to and including `to` are gone.
    Trimmed { to: EventId, possible: bool },
    /// The log began anew, and an earlier one had entries that the reader lacks, up to `to` at most.
    Anew { to: EventId, possible: bool },
    /// The log lost what the reader saw.
    Rewound,
    /// The log expired; events behind the position may have gone with it.
    Expired,
}

/// Everything up to here is known not to be missing to a reader at `position`.
pub(super) fn vouched(position: EventId, floor_ms: u64) -> EventId {
    if floor_ms == 0 { position } else { position.max(EventId::new(floor_ms, u64::MAX)) }
}

/// The usual case, for which nothing but the page is needed. Up to `past` entries of an earlier log may be gone, and up
/// to `vouched` none is missing.
pub(super) fn evidently_continuous(
    (position, seen): (EventId, bool),
    first: Option<First>,
    past: EventId,
    vouched: EventId,
) -> bool {
    let Some(first) = first else { return false };
    if !seen && position == EventId::ZERO {
        // Earliest is asked for: whatever comes first is right.
        return true;
    }
    first.id == position
        || match first.prev {
            Some(EventId::ZERO) if anew(past, vouched).is_some() => false,
            Some(prev) if seen => prev == position,
            Some(prev) => prev <= position,
            None => false,
        }
}

pub(super) fn judge(evidence: &Evidence) -> Verdict {
    let Evidence { position, first, older, head, past, .. } = *evidence;
    let seen = evidence.seen && !evidence.is_deleted_by_hand();
    let evidence = &Evidence { seen, ..*evidence };
    if evidently_continuous((position, seen), first, past, evidence.vouched()) {
        return Verdict::Continuous;
    }
    if older {
        // Trimming takes from the old end only: a moment that has entries before it lacks none behind it, and
        // an event that was seen among them can only have been lost.
        return if seen { Verdict::Rewound } else { Verdict::Continuous };
    }
    match first {
        Some(First { id, prev: Some(EventId::ZERO) }) if position == EventId::ZERO || !seen => {
            evidence.anew(past.min(id.before()), false)
        }
        Some(First { prev: Some(prev), .. }) if prev < position => evidence.lost(),
        Some(First { id, prev: Some(prev) }) if prev.seq == u64::MAX => {
            let to = prev.min(id.before());
            match evidence.vouched() {
                EventId::ZERO => Verdict::Anew { to, possible: true },
                _ => evidence.anew(to, false),
            }
        }
        Some(First { prev: Some(prev), .. }) => evidence.trimmed(prev),
        // Nothing was ever trimmed, so the position is not of this log, or was before its first entry.
        Some(_) if head.whole && seen && position != EventId::ZERO => evidence.lost(),
        Some(First { id, prev: None }) if head.whole => evidence.first_log(id),
        // No id fits in between.
        Some(First { id, prev: None }) if id.before() <= position => Verdict::Continuous,
        Some(First { id, prev: None }) => Verdict::Trimmed { to: id.before(), possible: true },
        None => judge_without_entries(evidence),
    }
}

/// Nothing stands between position and join point, and nothing before the position.
fn judge_without_entries(evidence: &Evidence) -> Verdict {
    let Evidence { position, seen, head, to, past, .. } = *evidence;
    if !seen && position == EventId::ZERO {
        return Verdict::Continuous;
    }
    if head.last < position {
        // Of a moment it cannot be said that anything was there; a log that is gone altogether may have
        // taken what came behind it.
        let lost = if seen || head.last == EventId::ZERO { evidence.lost() } else { Verdict::Continuous };
        if seen || lost != Verdict::Continuous {
            return lost;
        }
    }
    if to != EventId::MAX && head.last < to {
        // The log does not know what this node had of it.
        return evidence.anew(to.max(past), to > evidence.vouched());
    }
    if to != EventId::MAX && head.last == EventId::ZERO {
        return evidence.anew(past, false);
    }
    if head.last <= position {
        return Verdict::Continuous;
    }
    // The log went on and all that it had up to the join point was trimmed.
    evidence.trimmed(to.min(head.last))
}

/// An earlier log had entries up to `past`, or up to `PAST_SLACK_MS` before. Whether it is only possible that one of them
/// is behind `vouched`; `None` if none is, or if the reader's cursor names neither an event nor a moment (it was written
/// before the first tail check), so that there is nothing to compare.
pub(super) fn anew(past: EventId, vouched: EventId) -> Option<bool> {
    (past > vouched && vouched != EventId::ZERO).then(|| past.ms.saturating_sub(PAST_SLACK_MS) <= vouched.ms)
}

impl Evidence {
    fn vouched(&self) -> EventId {
        vouched(self.position, self.floor_ms.max(self.watched_ms))
    }

    /// Whether the position is absent because its entry was deleted by hand (XDEL): that takes it from everybody and
    /// proves nothing. Only the greatest id that was ever deleted is known, and an id of the future says nothing of
    /// what else was: it would excuse every loss.
    fn is_deleted_by_hand(&self) -> bool {
        let Self { position, head, first, .. } = *self;
        let far_ms = self.clock_ms.saturating_add(CLOCK_SLACK_MS);
        let comparable = head.deleted.ms <= far_ms || position.ms > far_ms;
        // A writer that came later would have found the position, or a greater id, as the log's last.
        let was_never_there = head.last < position
            || first
                .is_some_and(|first| first.id > position && first.prev.is_some_and(|prev| prev < position));
        position != EventId::ZERO && head.deleted >= position && comparable && !was_never_there
    }

    /// The log does not know the position: it expired (and perhaps began anew), or it was rewound.
    pub(super) fn lost(&self) -> Verdict {
        let Self { position, seen, floor_ms, watched_ms, horizon_ms, .. } = *self;
        let past = self.head.past;
        if position <= past && past <= self.vouched() {
            // The log is gone with everything that it had, and nothing of that is missing.
            return Verdict::Continuous;
        }
        match horizon_ms {
            // What came behind the floor would not have let the log expire before now, but somebody may have deleted it.
            Some(horizon_ms) if position.ms <= horizon_ms && floor_ms.max(watched_ms) > horizon_ms => {
                self.anew(past, false)
            }
            Some(horizon_ms) if position.ms <= horizon_ms => Verdict::Expired,
            _ if seen => Verdict::Rewound,
            _ => Verdict::Continuous,
        }
    }

    /// Everything up to `to` is gone, which is a gap unless somebody vouches for that much.
    fn trimmed(&self, to: EventId) -> Verdict {
        if self.floor_ms > 0 && to <= EventId::new(self.floor_ms, u64::MAX) {
            return Verdict::Continuous;
        }
        Verdict::Trimmed { to, possible: false }
    }

    /// An earlier log had entries up to `to`, or up to `PAST_SLACK_MS` before; or exactly up to there.
    fn anew(&self, to: EventId, is_exact: bool) -> Verdict {
        match anew(to, self.vouched()) {
            Some(possible) => Verdict::Anew { to, possible: possible && !is_exact },
            None => Verdict::Continuous,
        }
    }

    /// The log has everything that was ever appended to it, its first entry is `id`, and the writer did not say whether
    /// there was an earlier one.
    fn first_log(&self, id: EventId) -> Verdict {
        let vouched = self.vouched();
        // An id of the future is not a time: the entry came by now.
        let to = id.before().min(EventId::new(self.clock_ms, u64::MAX));
        let unknown = self.asks_since || vouched == EventId::ZERO;
        if unknown || to.ms.saturating_sub(vouched.ms) <= FIRST_LOG_MS || to <= vouched {
            return Verdict::Continuous;
        }
        Verdict::Anew { to, possible: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EventId {
        EventId::at(ms)
    }

    fn first(ms: u64, prev: Option<u64>) -> Option<First> {
        Some(First { id: id(ms), prev: prev.map(id) })
    }

    /// A reader that saw event 50 of a log that stands at 90 and keeps events for long.
    fn seen_50() -> Evidence {
        Evidence {
            position: id(50),
            seen: true,
            floor_ms: 0,
            first: None,
            older: false,
            head: LogHead { last: id(90), ..LogHead::default() },
            to: EventId::MAX,
            watched_ms: 0,
            asks_since: false,
            past: EventId::ZERO,
            clock_ms: 100,
            horizon_ms: Some(10),
        }
    }

    #[test]
    fn an_event_that_is_still_there_is_continuous() {
        let evidence = Evidence { first: first(50, None), older: true, ..seen_50() };
        assert_eq!(judge(&evidence), Verdict::Continuous);
    }

    #[test]
    fn an_event_that_is_absent_while_older_ones_exist_was_lost() {
        for first in [first(60, Some(40)), first(60, None), None] {
            assert_eq!(judge(&Evidence { first, older: true, ..seen_50() }), Verdict::Rewound);
        }
        let moment = Evidence { seen: false, first: first(60, Some(40)), older: true, ..seen_50() };
        assert_eq!(judge(&moment), Verdict::Continuous);
        let deleted_end = Evidence { first: first(60, Some(50)), older: true, ..seen_50() };
        assert_eq!(judge(&deleted_end), Verdict::Continuous);
    }

    #[test]
    fn prev_decides_beyond_the_oldest_entry() {
        let verdict = |first| judge(&Evidence { first, ..seen_50() });
        assert_eq!(verdict(first(60, Some(50))), Verdict::Continuous);
        assert_eq!(verdict(first(60, Some(55))), Verdict::Trimmed { to: id(55), possible: false });
        assert_eq!(verdict(first(60, None)), Verdict::Trimmed { to: id(60).before(), possible: true });
        assert_eq!(verdict(first(60, Some(0))), Verdict::Rewound);
        assert_eq!(verdict(None), Verdict::Trimmed { to: id(90), possible: false });
    }

    #[test]
    fn a_missing_log_expired_only_if_the_reader_is_older_than_the_retention() {
        let missing = Evidence { head: LogHead::default(), ..seen_50() };
        assert_eq!(judge(&missing), Verdict::Rewound, "too young to have expired, so Redis lost it");
        assert_eq!(
            judge(&Evidence { horizon_ms: None, ..missing }),
            Verdict::Rewound,
            "nothing ever expires"
        );
        assert_eq!(judge(&Evidence { horizon_ms: Some(51), ..missing }), Verdict::Expired);
        let moment = Evidence { seen: false, ..missing };
        assert_eq!(judge(&moment), Verdict::Continuous, "perhaps there never was an event");
        assert_eq!(judge(&Evidence { horizon_ms: Some(51), ..moment }), Verdict::Expired);
        let began_anew = Evidence { first: first(60, Some(0)), horizon_ms: Some(51), ..seen_50() };
        assert_eq!(judge(&began_anew), Verdict::Expired);
        let never_had_events = Evidence { position: EventId::ZERO, horizon_ms: Some(51), ..missing };
        assert_eq!(judge(&never_had_events), Verdict::Continuous);
    }

    #[test]
    fn a_quiet_topic_whose_end_was_confirmed_lately_lacks_nothing() {
        let quiet = Evidence { floor_ms: 70, horizon_ms: Some(60), ..seen_50() };
        let expired = Evidence { head: LogHead::default(), ..quiet };
        assert_eq!(judge(&expired), Verdict::Continuous);
        assert_eq!(judge(&Evidence { first: first(90, Some(0)), ..expired }), Verdict::Continuous);
        assert_eq!(judge(&Evidence { floor_ms: 60, ..expired }), Verdict::Expired);
        assert_eq!(judge(&Evidence { first: first(90, Some(65)), ..quiet }), Verdict::Continuous);
        let beyond = Verdict::Trimmed { to: id(80), possible: false };
        assert_eq!(judge(&Evidence { first: first(90, Some(80)), ..quiet }), beyond);
        assert_eq!(judge(&Evidence { older: true, ..quiet }), Verdict::Rewound, "a floor excuses no loss");
    }

    #[test]
    fn an_event_deleted_by_hand_was_not_lost() {
        let head = LogHead { last: id(90), deleted: id(50), ..LogHead::default() };
        let deleted = Evidence { head, older: true, first: first(70, Some(60)), ..seen_50() };
        assert_eq!(judge(&deleted), Verdict::Continuous);
        let before = LogHead { deleted: id(49), ..head };
        assert_eq!(judge(&Evidence { head: before, ..deleted }), Verdict::Rewound);
        let trimmed_too = Evidence { older: false, ..deleted };
        assert_eq!(judge(&trimmed_too), Verdict::Trimmed { to: id(60), possible: false });
    }

    #[test]
    fn a_position_ahead_of_the_log_was_lost_unless_it_is_a_moment() {
        let ahead = Evidence { head: LogHead { last: id(40), ..LogHead::default() }, ..seen_50() };
        assert_eq!(judge(&ahead), Verdict::Rewound);
        assert_eq!(judge(&Evidence { seen: false, ..ahead }), Verdict::Continuous);
    }

    #[test]
    fn a_moment_tells_trimming_but_earliest_does_not() {
        let moment = Evidence { seen: false, ..seen_50() };
        let trimmed = Verdict::Trimmed { to: id(55), possible: false };
        assert_eq!(judge(&Evidence { first: first(60, Some(55)), ..moment }), trimmed);
        assert_eq!(judge(&Evidence { first: first(60, Some(30)), ..moment }), Verdict::Continuous);
        let earliest = Evidence { position: EventId::ZERO, ..moment };
        for first in [first(60, Some(55)), first(60, None), None] {
            assert_eq!(judge(&Evidence { first, ..earliest }), Verdict::Continuous);
        }
    }

    #[test]
    fn a_log_that_was_never_trimmed_lacks_nothing_at_its_beginning() {
        let whole = LogHead { last: id(90), oldest: Some(id(60)), whole: true, ..LogHead::default() };
        let evidence = Evidence { first: first(60, None), head: whole, ..seen_50() };
        assert_eq!(judge(&Evidence { position: EventId::ZERO, ..evidence }), Verdict::Continuous);
        assert_eq!(judge(&Evidence { seen: false, ..evidence }), Verdict::Continuous);
        assert_eq!(judge(&evidence), Verdict::Rewound, "it does not know what was seen");
    }

    #[test]
    fn a_topic_that_had_no_events_is_checked_for_trimming() {
        let nothing_seen = Evidence { position: EventId::ZERO, ..seen_50() };
        let verdict = |first| judge(&Evidence { first, ..nothing_seen });
        assert_eq!(verdict(first(60, Some(0))), Verdict::Continuous);
        assert_eq!(verdict(first(60, Some(55))), Verdict::Trimmed { to: id(55), possible: false });
        assert_eq!(verdict(first(60, None)), Verdict::Trimmed { to: id(60).before(), possible: true });
    }
}
