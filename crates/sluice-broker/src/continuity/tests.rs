//! Single steps; whole histories are in `follower/topics/tests.rs`.

use sluice_wire::{ByteString, Event};

use super::*;

fn id(ms: u64) -> EventId {
    EventId::at(ms)
}

fn level_at(ms: u64) -> Continuity {
    let mut continuity = Continuity::opened(id(ms - 1), EventId::ZERO, true);
    assert_eq!(continuity.announced(Some(id(ms - 1)), id(ms), 10_000), Heard::Apply);
    continuity
}

fn page(events: &[(u64, Option<u64>)], more: bool) -> Page {
    let event = |(ms, prev): &(u64, Option<u64>)| Event {
        id: id(*ms),
        prev: prev.map(id),
        event_type: None,
        data: ByteString::new(),
        traceparent: None,
    };
    let events: Vec<Event> = events.iter().map(event).collect();
    let (first, last) = (events.first().map(|e| e.id), events.last().map(|e| e.id));
    Page { events, first, last, more, skipped: Vec::new() }
}

#[test]
fn what_stands_directly_behind_is_applied() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.announced(Some(id(10)), id(11), 10_000), Heard::Apply);
    assert_eq!(continuity.position(), id(11));
}

#[test]
fn anything_else_that_is_newer_is_a_hole() {
    for prev in [None, Some(id(11)), Some(id(9))] {
        let mut continuity = level_at(10);
        assert_eq!(continuity.announced(prev, id(12), 10_000), Heard::Read, "{prev:?}");
        assert_eq!(continuity.position(), id(10));
        assert!(continuity.is_reading());
    }
}

#[test]
fn an_older_one_is_dropped_only_where_reading_overtook_it() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.announced(Some(id(12)), id(13), 10_000), Heard::Read);
    assert_eq!(continuity.begin_pass(0), Some(id(10)));
    assert_eq!(continuity.page(id(15), true, 0), Pass::Finished);
    assert_eq!(continuity.announced(Some(id(13)), id(14), 10_000), Heard::Drop);
    assert_eq!(continuity.announced(Some(id(14)), id(15), 10_000), Heard::Drop);
    assert_eq!(continuity.announced(Some(id(15)), id(16), 10_000), Heard::Apply);
    // Level again, so the same message now can only come from a log that went back.
    let mut unchained = level_at(10);
    assert_eq!(unchained.announced(None, id(9), 10_000), Heard::Read);
    assert_eq!(continuity.announced(Some(id(13)), id(14), 10_000), Heard::Read);
}

#[test]
fn an_older_one_whose_prev_does_not_fit_is_suspected() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.announced(Some(id(12)), id(13), 10_000), Heard::Read);
    continuity.begin_pass(0);
    continuity.page(id(15), true, 0);
    assert_eq!(continuity.announced(Some(id(7)), id(12), 10_000), Heard::Read);
}

/// A log that began anew behind an id of the future: what is announced of it is not taken for known.
#[test]
fn what_is_far_before_the_position_is_not_late() {
    let future = id(u64::MAX / 2);
    let mut continuity = Continuity::opened(EventId::ZERO, EventId::ZERO, true);
    let far = Page { first: Some(future), last: Some(future), ..page(&[], false) };
    assert_eq!(continuity.tailed(EventId::ZERO, Some(&far)), Tailed::Read);
    assert_eq!(continuity.begin_pass(0), Some(EventId::ZERO));
    assert_eq!(continuity.page(future, true, 0), Pass::Finished);
    assert_eq!(continuity.announced(Some(EventId::ZERO), id(9_000), 10_000), Heard::Read);
    // Nor while the log is read: the page may have been read before it came.
    assert_eq!(continuity.begin_pass(0), Some(future));
    assert_eq!(continuity.announced(Some(id(9_000)), id(9_001), 10_000), Heard::Drop);
    assert_eq!(continuity.page(future, true, 0), Pass::Again);
    assert_eq!(continuity.begin_pass(0), Some(future));
    assert_eq!(continuity.page(id(9_001), true, 0), Pass::Finished);
}

#[test]
fn after_a_loss_nothing_is_late() {
    let mut continuity = Continuity::opened(id(10), EventId::ZERO, true);
    continuity.lost();
    assert_eq!(continuity.announced(Some(id(8)), id(9), 10_000), Heard::Read);
}

#[test]
fn reading_goes_on_until_a_pass_began_after_the_last_word() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.announced(Some(id(11)), id(12), 10_000), Heard::Read);
    continuity.begin_pass(1);
    assert_eq!(continuity.announced(Some(id(12)), id(13), 10_000), Heard::Drop);
    assert_eq!(continuity.page(id(12), true, 1), Pass::Again);
    continuity.begin_pass(1);
    assert_eq!(continuity.page(id(13), true, 2), Pass::Again, "the epoch has changed");
    continuity.begin_pass(2);
    assert_eq!(continuity.page(id(13), false, 2), Pass::GoOn);
    assert_eq!(continuity.page(id(13), true, 2), Pass::Finished);
    assert!(!continuity.is_reading());
}

#[test]
fn an_id_that_the_log_never_reaches_ends_the_reading_all_the_same() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.announced(None, EventId::MAX, 10_000), Heard::Read);
    continuity.begin_pass(0);
    assert_eq!(continuity.page(id(10), true, 0), Pass::Finished);
}

#[test]
fn a_look_at_the_end_applies_what_fits() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.tailed(id(10), None), Tailed::UpToDate);
    let fits = page(&[(11, Some(10)), (12, None)], false);
    assert_eq!(continuity.tailed(id(10), Some(&fits)), Tailed::Apply(0));
    assert_eq!(continuity.position(), id(12));
    let stale = page(&[(11, Some(10)), (12, None), (13, Some(12))], false);
    assert_eq!(continuity.tailed(id(10), Some(&stale)), Tailed::Apply(2));
    assert_eq!(continuity.tailed(id(10), Some(&stale)), Tailed::UpToDate);
    assert_eq!(continuity.tailed(id(99), None), Tailed::Busy);
}

#[test]
fn a_look_at_the_end_that_does_not_fit_or_is_cut_off_begins_to_read() {
    for odd in [page(&[(12, Some(11))], false), page(&[(11, None)], false), page(&[(11, Some(10))], true)] {
        let mut continuity = level_at(10);
        assert_eq!(continuity.tailed(id(10), Some(&odd)), Tailed::Read, "{odd:?}");
    }
}

#[test]
fn verifying_wants_the_position_itself() {
    let mut continuity = level_at(10);
    assert_eq!(continuity.verified(id(10), Some(&page(&[(10, Some(9))], false))), Tailed::UpToDate);
    let behind = page(&[(10, Some(9)), (11, Some(10))], false);
    assert_eq!(continuity.verified(id(10), Some(&behind)), Tailed::Apply(1));
    assert_eq!(continuity.verified(id(11), Some(&page(&[(12, Some(10))], false))), Tailed::Read);
    let mut continuity = level_at(10);
    assert_eq!(continuity.verified(id(10), None), Tailed::Read);
    let mut empty = Continuity::opened(EventId::ZERO, EventId::ZERO, true);
    assert_eq!(empty.verified(EventId::ZERO, None), Tailed::UpToDate);
    assert_eq!(empty.verified(EventId::ZERO, Some(&page(&[(5, Some(0))], false))), Tailed::Apply(0));
}

#[test]
fn a_topic_stays_small() {
    assert!(size_of::<Continuity>() <= 40, "{}", size_of::<Continuity>());
}
