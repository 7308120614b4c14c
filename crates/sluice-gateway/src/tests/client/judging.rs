//! What a client makes of what it hears: every event, cursor and gap is compared with the ledger.

use sluice_wire::cursor::Cursor;
use sluice_wire::sse::Received;

use super::super::ledger::{Ledger, TOPICS, topic};
use super::{Begin, Client};

impl Client {
    pub(super) fn heard(&mut self, event: &Received, ledger: &Ledger) {
        match event.event_type.as_str() {
            "sluice.gap" => self.told_missing(&event.data, ledger),
            "sluice.stale" | "sluice.live" => {}
            "sluice.cursor" => {
                assert!(self.cursor_events && event.data == "{}", "{event:?}");
                self.moved(&event.last_event_id, ledger);
            }
            "message" if event.data.starts_with("plain") => {}
            _ => {
                let mut parts = event.data.split(':');
                let (name, number) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
                let place = self.place(name);
                let before = ledger.before(self.topics[place], number);
                // A node that does not know yet what was lost may still hand it out, and tells it later.
                let lost = ledger.is_lost(self.topics[place], number);
                let skips = lost || self.may_skip(place, before, ledger);
                let seen = self.seen.as_mut().expect("a cursor comes before the first event");
                let last = seen[place];
                assert!(
                    before == last || skips,
                    "{name}: {number} came, which is not the next behind {last}"
                );
                seen[place] = number;
                self.events += 1;
                self.moved(&event.last_event_id, ledger);
            }
        }
    }

    /// A cursor must say exactly what was seen.
    pub(super) fn moved(&mut self, text: &str, ledger: &Ledger) {
        let cursor: Cursor = text.parse().unwrap();
        let says = self
            .topics
            .iter()
            .map(|index| ledger.number_at(*index, cursor.position(&topic(*index), self.topics.len())));
        let says: Vec<_> = says.collect();
        if self.seen.is_none() {
            self.begins_right(&says, ledger);
            self.seen = Some(says);
            return;
        }
        for (place, says) in says.into_iter().enumerate() {
            let skips = self.may_skip(place, says, ledger);
            let Some(seen) = &mut self.seen else { return };
            match self.told.iter().rfind(|(told, _)| *told == place) {
                Some((_, to)) => seen[place] = *to,
                None if skips => seen[place] = says,
                None => {}
            }
            let (name, seen) = (TOPICS[self.topics[place]], seen[place]);
            assert_eq!(says, seen, "the cursor {text} says {says} of {name}, of which {seen} was seen");
        }
        self.told.clear();
    }

    /// A plain id is a moment for several topics: nobody checks what became of its event.
    pub(super) fn settle_moment(&mut self, ledger: &Ledger) {
        let (Some(seen), Ok(cursor)) = (&mut self.seen, self.cursor.parse::<Cursor>()) else { return };
        if !matches!(cursor, Cursor::Plain { .. }) || self.topics.len() == 1 {
            return;
        }
        for (seen, index) in seen.iter_mut().zip(&self.topics) {
            let position = cursor.position(&topic(*index), self.topics.len());
            *seen = ledger.present_at(*index, position);
        }
    }

    /// Who asks for the earliest begins with whatever that is, and is told no gap before it.
    pub(super) fn may_skip(&self, place: usize, to: usize, ledger: &Ledger) -> bool {
        let begins = self.seen.as_ref().is_some_and(|seen| seen[place] == 0);
        begins && self.from_earliest[place] && ledger.is_trimmed(self.topics[place], to)
    }

    fn begins_right(&self, at: &[usize], ledger: &Ledger) {
        for ((at, index), before) in at.iter().zip(&self.topics).zip(&self.opened_at) {
            let (count_to, len) = (ledger.count_to(*index, *at), ledger.len(*index));
            match self.begin {
                Begin::Live | Begin::After(_) => {}
                Begin::Earliest => assert_eq!(*at, 0),
                // What was lost meanwhile makes the last ones others.
                Begin::Last(_) if ledger.lost > self.lost_before => {}
                Begin::Last(count) => {
                    let last =
                        before.saturating_sub(count)..=len.saturating_sub(count).max(ledger.trimmed(*index));
                    assert!(last.contains(&count_to), "{count_to} is not before the last {count} of {len}");
                }
            }
        }
    }

    /// A gap is told only of what the log has lost.
    fn told_missing(&mut self, json: &str, ledger: &Ledger) {
        let gap: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(gap.get("possible").is_none() || gap["reason"] == "expired", "{json}");
        let id = |name: &str| gap[name].as_str().unwrap().parse().unwrap();
        let place = self.place(gap["topic"].as_str().unwrap());
        let index = self.topics[place];
        let seen = self.seen.as_ref().expect("a cursor comes before a gap")[place];
        let to = ledger.present_at(index, id("to"));
        match gap["reason"].as_str() {
            Some("trimmed") => {
                assert!(ledger.is_trimmed(index, to), "{json}: {to} is not gone");
                self.told.push((place, seen.max(to)));
                self.gaps += 1;
            }
            Some("rewound") => {
                let from = ledger.number_at(index, id("from"));
                assert!(ledger.is_lost(index, from), "{json}: {from} was not lost");
                self.told.push((place, to));
                self.from_earliest[place] |= to == 0;
                self.rewinds += 1;
            }
            // The log that the client knew is gone as a whole, and with it what the client never had.
            Some("expired") => {
                assert!(ledger.is_any_lost(index, id("to")), "{json}: nothing was lost until then");
                self.told.push((place, to));
            }
            other => panic!("{other:?}: {json}"),
        }
    }

    fn place(&self, name: &str) -> usize {
        self.topics.iter().position(|index| TOPICS[*index] == name).expect("a topic of the stream")
    }
}
