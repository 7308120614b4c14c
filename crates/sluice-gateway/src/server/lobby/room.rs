//! Who is in the lobby and who has rested longest, without clocks or tasks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio_util::sync::CancellationToken;

use super::What;

/// See the module.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    guests: Slab<Entry>,
    /// Those that rest, by when they began to.
    resting: BTreeMap<u64, usize>,
    next: u64,
    /// Those that hold no stream and were not shown out.
    present: usize,
}

#[derive(Debug)]
struct Entry {
    requests: u32,
    answers: u32,
    streams: u32,
    /// Its place among those that rest, and since when it has it.
    rest: Option<(u64, Instant)>,
    shown_out: CancellationToken,
}

impl Entry {
    fn count(&mut self, what: What) -> &mut u32 {
        match what {
            What::Request => &mut self.requests,
            What::Answer => &mut self.answers,
            What::Stream => &mut self.streams,
        }
    }

    fn is_present(&self) -> bool {
        self.streams == 0 && !self.shown_out.is_cancelled()
    }
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), guests: Slab::new(), resting: BTreeMap::new(), next: 0, present: 0 }
    }

    pub(super) fn present(&self) -> usize {
        self.present
    }

    pub(super) fn has_room(&self) -> bool {
        self.present < self.most
    }

    /// `None` when one more may come in, else how long nobody need ask again.
    pub(super) fn make_room(&mut self, now: Instant, moment: Duration) -> Option<Duration> {
        if self.has_room() || self.show_out_oldest(now, moment) {
            return None;
        }
        let oldest = self.resting.first_key_value().and_then(|(_, key)| self.guests[*key].rest);
        Some(oldest.map_or(moment, |(_, since)| moment.saturating_sub(now.saturating_duration_since(since))))
    }

    /// Shows out who has rested longest, if for `least`. Whether there was one.
    pub(super) fn show_out_oldest(&mut self, now: Instant, least: Duration) -> bool {
        let Some((_, key)) = self.resting.first_key_value() else { return false };
        let entry = &mut self.guests[*key];
        if entry.rest.is_some_and(|(_, since)| now.saturating_duration_since(since) < least) {
            return false;
        }
        entry.rest = None;
        entry.shown_out.cancel();
        self.present -= 1;
        self.resting.pop_first();
        true
    }

    /// One more, which rests.
    pub(super) fn enter(&mut self, now: Instant, shown_out: CancellationToken) -> usize {
        let key = self.guests.insert(Entry { requests: 0, answers: 0, streams: 0, rest: None, shown_out });
        self.present += 1;
        self.rest(key, now);
        key
    }

    pub(super) fn begin(&mut self, key: usize, what: What) {
        self.change(key, |entry| *entry.count(what) += 1);
        if what == What::Answer {
            return;
        }
        if let Some((place, _)) = self.guests[key].rest.take() {
            self.resting.remove(&place);
        }
    }

    pub(super) fn end(&mut self, key: usize, what: What, now: Instant) {
        self.change(key, |entry| *entry.count(what) -= 1);
        self.rest(key, now);
    }

    pub(super) fn leave(&mut self, key: usize) {
        let entry = self.guests.remove(key);
        self.present -= usize::from(entry.is_present());
        if let Some((place, _)) = entry.rest {
            self.resting.remove(&place);
        }
    }

    /// For how long it has rested; `None` while it does something.
    pub(super) fn rested(&self, key: usize, now: Instant) -> Option<Duration> {
        let entry = &self.guests[key];
        entry.rest.filter(|_| entry.answers == 0).map(|(_, since)| now.saturating_duration_since(since))
    }

    fn change(&mut self, key: usize, change: impl FnOnce(&mut Entry)) {
        let entry = &mut self.guests[key];
        let was = entry.is_present();
        change(entry);
        self.present = self.present + usize::from(entry.is_present()) - usize::from(was);
    }

    /// It rests from now on, if it does nothing and may stay.
    fn rest(&mut self, key: usize, now: Instant) {
        let entry = &mut self.guests[key];
        if entry.requests == 0 && entry.streams == 0 && !entry.shown_out.is_cancelled() {
            if let Some((place, _)) = entry.rest {
                self.resting.remove(&place);
            }
            entry.rest = Some((self.next, now));
            self.resting.insert(self.next, key);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOMENT: Duration = Duration::from_secs(1);

    fn enter(room: &mut Room, now: Instant) -> (usize, CancellationToken) {
        let token = CancellationToken::new();
        (room.enter(now, token.clone()), token)
    }

    #[test]
    fn the_one_that_rested_longest_goes_after_its_moment() {
        let start = Instant::now();
        let mut room = Room::new(2);
        let (first, first_out) = enter(&mut room, start);
        let (_, second_out) = enter(&mut room, start + Duration::from_millis(300));
        assert_eq!(
            room.make_room(start + Duration::from_millis(400), MOMENT),
            Some(Duration::from_millis(600))
        );
        room.begin(first, What::Request);
        assert_eq!(
            room.make_room(start + Duration::from_millis(1_300), MOMENT),
            None,
            "the second had its moment"
        );
        assert!(second_out.is_cancelled() && !first_out.is_cancelled());
        assert_eq!(room.present(), 1);
    }

    #[test]
    fn who_holds_a_stream_takes_no_place_and_is_not_shown_out() {
        let start = Instant::now();
        let mut room = Room::new(1);
        let (streaming, out) = enter(&mut room, start);
        room.begin(streaming, What::Stream);
        assert!(room.has_room());
        let (busy, _) = enter(&mut room, start);
        room.begin(busy, What::Request);
        assert_eq!(room.make_room(start + MOMENT * 9, MOMENT), Some(MOMENT), "nobody rests");
        room.end(streaming, What::Stream, start + MOMENT * 9);
        assert_eq!((room.present(), out.is_cancelled()), (2, false));
        assert_eq!(room.make_room(start + MOMENT * 10, MOMENT), None);
        assert!(out.is_cancelled());
    }

    proptest! {
        #[test]
        fn the_count_is_always_that_of_those_present(steps in prop::collection::vec((0_u8..6, 0_usize..8), 0..200)) {
            let mut now = Instant::now();
            let mut room = Room::new(4);
            let mut model: Vec<(usize, CancellationToken, u32, u32)> = Vec::new();
            for (step, pick) in steps {
                now += Duration::from_millis(400);
                let at = pick % model.len().max(1);
                match (step, model.get_mut(at)) {
                    (0, _) if room.make_room(now, MOMENT).is_none() => {
                        let (key, token) = enter(&mut room, now);
                        model.push((key, token, 0, 0));
                    }
                    (1, Some((key, _, requests, _))) => { room.begin(*key, What::Request); *requests += 1; }
                    (2, Some((key, _, _, streams))) => { room.begin(*key, What::Stream); *streams += 1; }
                    (3, Some((key, _, requests @ 1.., _))) => { room.end(*key, What::Request, now); *requests -= 1; }
                    (4, Some((key, _, _, streams @ 1..))) => { room.end(*key, What::Stream, now); *streams -= 1; }
                    (5, Some((key, _, 0, 0))) => { room.leave(*key); model.remove(at); }
                    _ => {}
                }
                let present = model.iter().filter(|(_, out, _, streams)| *streams == 0 && !out.is_cancelled());
                prop_assert_eq!(room.present(), present.count());
                let resting = model.iter().filter(|(_, out, r, s)| (*r, *s) == (0, 0) && !out.is_cancelled());
                prop_assert_eq!(room.resting.len(), resting.count());
            }
        }
    }
}
