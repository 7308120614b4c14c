//! The judgement whether a log goes on directly behind a position. Pure: evidence in, verdict out.

use sluice_wire::EventId;

use crate::LogHead;

/// What is known of a log around a position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// Where the reader stands.
    pub(super) position: EventId,
    /// The position is an event that the reader saw, not only a moment.
    pub(super) seen: bool,
    /// The first entry at or behind the position, up to `to`.
    pub(super) first: Option<First>,
    /// The log has entries before the position (for a moment: at or before it).
    pub(super) older: bool,
    /// Where the log stands; read after `first`.
    pub(super) head: LogHead,
    /// The fence of the read; an id that the log is known to have reached, or [`EventId::MAX`].
    pub(super) to: EventId,
    /// Events of before this moment may have gone with their expired log.
    pub(super) horizon_ms: Option<u64>,
}

/// An entry and what its writer said stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) id: EventId,
    pub(super) prev: Option<EventId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was read stands directly behind the position.
    Continuous,
    /// Events up to and including `to` are gone.
    Trimmed { to: EventId, possible: bool },
    /// The log lost what the reader saw.
    Rewound,
    /// The log expired; events behind the position may have gone with it.
    Expired,
}

/// The usual case, for which nothing but the page is needed.
pub(super) fn evidently_continuous(position: EventId, seen: bool, first: Option<First>) -> bool {
    let Some(first) = first else { return false };
    first.id == position
        || match first.prev {
            Some(prev) if seen => prev == position,
            Some(prev) => prev <= position,
            // Earliest is asked for: whatever comes first is right.
            None => !seen && position == EventId::ZERO,
        }
        || (!seen && position == EventId::ZERO)
}

pub(super) fn judge(evidence: &Evidence) -> Verdict {
    let Evidence { position, seen, first, older, head, .. } = *evidence;
    if evidently_continuous(position, seen, first) {
        return Verdict::Continuous;
    }
    if older {
        // Trimming takes from the old end only: a moment that has entries before it lacks none behind it, and
        // an event that was seen among them can only have been lost.
        return if seen { Verdict::Rewound } else { Verdict::Continuous };
    }
    match first {
        Some(First { prev: Some(prev), .. }) if prev < position => lost(evidence),
        Some(First { prev: Some(prev), .. }) => Verdict::Trimmed { to: prev, possible: false },
        // Nothing was ever trimmed, so the position is not of this log, or was before its first entry.
        Some(_) if head.whole && seen && position != EventId::ZERO => lost(evidence),
        Some(_) if head.whole => Verdict::Continuous,
        Some(First { id, prev: None }) => Verdict::Trimmed { to: id.before(), possible: true },
        None => judge_without_entries(evidence),
    }
}

/// Nothing stands between position and fence, and nothing before the position.
fn judge_without_entries(evidence: &Evidence) -> Verdict {
    let Evidence { position, seen, head, to, .. } = *evidence;
    if head.last == EventId::ZERO {
        return match evidence.horizon_ms {
            Some(horizon_ms) if position.ms < horizon_ms && position != EventId::ZERO => Verdict::Expired,
            _ => Verdict::Continuous,
        };
    }
    if head.last < position {
        return if seen { lost(evidence) } else { Verdict::Continuous };
    }
    if head.last == position || (!seen && position == EventId::ZERO) {
        return Verdict::Continuous;
    }
    // The log went on and all that it had up to the fence was trimmed.
    Verdict::Trimmed { to: to.min(head.last), possible: false }
}

/// The log does not know an event that was seen: it expired and began anew, or it was rewound.
fn lost(evidence: &Evidence) -> Verdict {
    match evidence.horizon_ms {
        Some(horizon_ms) if evidence.position.ms < horizon_ms => Verdict::Expired,
        _ => Verdict::Rewound,
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
            first: None,
            older: false,
            head: LogHead { last: id(90), oldest: None, whole: false },
            to: EventId::MAX,
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
        assert_eq!(judge(&missing), Verdict::Continuous);
        assert_eq!(judge(&Evidence { horizon_ms: Some(51), ..missing }), Verdict::Expired);
        assert_eq!(judge(&Evidence { horizon_ms: None, ..missing }), Verdict::Continuous);
        let began_anew = Evidence { first: first(60, Some(0)), horizon_ms: Some(51), ..seen_50() };
        assert_eq!(judge(&began_anew), Verdict::Expired);
        let never_had_events = Evidence { position: EventId::ZERO, horizon_ms: Some(51), ..missing };
        assert_eq!(judge(&never_had_events), Verdict::Continuous);
    }

    #[test]
    fn a_position_ahead_of_the_log_was_lost_unless_it_is_a_moment() {
        let ahead = Evidence { head: LogHead { last: id(40), oldest: None, whole: false }, ..seen_50() };
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
        let whole = LogHead { last: id(90), oldest: Some(id(60)), whole: true };
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
