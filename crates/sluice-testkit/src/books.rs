//! Books for logs that others write to: every entry that was written and what each client was given or told, judged by
//! the rule that a client never loses, repeats or reorders an event without being told. Pure.
//!
//! The [`Ledger`](crate::Ledger) is stricter, and right only where nobody but publishers writes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sluice_wire::EventId;

/// What was written and what arrived. Clones are handles on the same books.
#[derive(Debug, Clone, Default)]
pub struct Books(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    topics: HashMap<String, Vec<Record>>,
    /// How many records of a topic were judged already.
    settled: HashMap<String, usize>,
    clients: Vec<Client>,
    /// Entries deleted by hand: taken from everybody, which is no loss.
    removed: HashSet<(String, EventId)>,
}

/// What may become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// An event: it must arrive, or its loss must be told.
    Deliver,
    /// The same if its log has it in the end: it was written to another key.
    DeliverIfKept,
    /// A node may deliver it or not.
    Optional,
    /// No client may be given it.
    Skip,
}

#[derive(Debug)]
struct Record {
    duty: Duty,
    began: Instant,
    /// Of each acknowledgement; none yet where the outcome is unknown.
    ids: Vec<EventId>,
    /// More than one may have succeeded, so it may stand in the log more than once.
    attempts: usize,
}

#[derive(Debug)]
struct Client {
    name: String,
    views: HashMap<String, View>,
    gone: bool,
    /// Faults that were seen on arrival.
    faults: Vec<String>,
}

/// What one client has of one topic.
#[derive(Debug, Default)]
struct View {
    /// When it had the head of its first stream.
    since: Option<Instant>,
    /// Since the last sequence.
    heard: Vec<Heard>,
    /// The greatest id that it was given, as of the last rewind.
    furthest: EventId,
    /// Arrivals by number.
    given: HashMap<usize, usize>,
}

#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Event(usize),
    Gap(Told),
}

/// A gap as a client was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The position before the gap.
    pub from: EventId,
    /// Where delivery goes on.
    pub to: EventId,
    /// Such as `rewound`.
    pub reason: String,
}

/// A client's place in the books.
#[derive(Debug, Clone)]
pub struct ClientBook {
    books: Books,
    index: usize,
}

impl Books {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an entry that is about to be written; its number and its payload.
    #[must_use]
    pub fn write(&self, topic: &str, duty: Duty) -> (usize, String) {
        let mut pages = self.pages();
        let records = pages.topics.entry(topic.to_owned()).or_default();
        records.push(Record { duty, began: Instant::now(), ids: Vec::new(), attempts: 0 });
        let number = records.len();
        (number, format!("{topic} {number}"))
    }

    /// Enters that an entry stands in the log under this id.
    pub fn acknowledge(&self, topic: &str, number: usize, id: EventId) {
        if let Some(record) = self.pages().record(topic, number) {
            record.ids.push(id);
        }
    }

    /// Enters that writing an entry is tried, perhaps again.
    pub fn attempt(&self, topic: &str, number: usize) {
        if let Some(record) = self.pages().record(topic, number) {
            record.attempts += 1;
        }
    }

    /// Enters that the entry with this id is deleted by hand.
    pub fn remove(&self, topic: &str, id: EventId) {
        self.pages().removed.insert((topic.to_owned(), id));
    }

    /// Enters a client of these topics.
    #[must_use]
    pub fn client(&self, name: &str, topics: &[String]) -> ClientBook {
        let mut pages = self.pages();
        let views = topics.iter().map(|topic| (topic.clone(), View::default())).collect();
        pages.clients.push(Client { name: name.to_owned(), views, gone: false, faults: Vec::new() });
        ClientBook { books: self.clone(), index: pages.clients.len() - 1 }
    }

    /// The clients that lack the entry with this number in one of their topics.
    #[must_use]
    pub fn lacking(&self, last: &HashMap<String, usize>) -> Vec<String> {
        let pages = self.pages();
        let lacks = |client: &&Client| {
            !client.gone
                && client.views.iter().any(|(topic, view)| {
                    last.get(topic).is_some_and(|number| !view.given.contains_key(number))
                })
        };
        pages.clients.iter().filter(lacks).map(|client| client.name.clone()).collect()
    }

    /// The faults of everybody, and a clean sheet for the next sequence. `kept` is what the logs hold now.
    #[must_use]
    pub fn close(&self, kept: &HashMap<String, Vec<EventId>>) -> Verdict {
        let mut pages = self.pages();
        let Pages { topics, settled, clients, removed } = &mut *pages;
        let mut verdict = Verdict::default();
        for client in clients {
            verdict.faults.extend(client.faults.drain(..).map(|fault| format!("{}: {fault}", client.name)));
            for (topic, view) in &mut client.views {
                let kept = kept.get(topic).map_or(&[][..], Vec::as_slice);
                let records = topics.get(topic).map_or(&[][..], Vec::as_slice);
                let settled = settled.get(topic).copied().unwrap_or(0);
                let is_removed = |id: EventId| removed.contains(&(topic.clone(), id));
                let mut faults = view.out_of_order(records);
                if !client.gone {
                    faults.extend(view.lost(records, settled, kept, is_removed));
                }
                verdict
                    .faults
                    .extend(faults.into_iter().map(|fault| format!("{}, {topic}: {fault}", client.name)));
                verdict.delivered += view.heard.len() - view.gaps().count();
                verdict.gaps += view.gaps().count();
                verdict.most_gaps = verdict.most_gaps.max(view.gaps().count());
                view.heard.clear();
            }
        }
        settled.extend(topics.iter().map(|(topic, records)| (topic.clone(), records.len())));
        verdict
    }
}

/// The sum of a sequence.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, by client and topic.
    pub faults: Vec<String>,
    /// Arrivals at all clients together.
    pub delivered: usize,
    /// Gaps told to all clients together.
    pub gaps: usize,
    /// The most gaps that one client was told of one topic.
    pub most_gaps: usize,
}

impl Pages {
    fn record(&mut self, topic: &str, number: usize) -> Option<&mut Record> {
        self.topics.get_mut(topic)?.get_mut(number.checked_sub(1)?)
    }
}

impl ClientBook {
    /// Enters that the client has the head of a stream.
    pub fn opened(&self) {
        self.with(|client, _| {
            let now = Instant::now();
            client.views.values_mut().for_each(|view| _ = view.since.get_or_insert(now));
        });
    }

    /// Enters that it begins anew, as it has no cursor yet: what came before is due no more.
    pub fn begins_anew(&self) {
        self.with(|client, _| client.views.values_mut().for_each(|view| view.since = None));
    }

    /// Enters an event by its payload. `false`: it is none of the books.
    pub fn given(&self, data: &str) -> bool {
        let Some((topic, number)) = parse(data) else { return false };
        self.with(|client, topics| {
            let known = topics.get(topic).is_some_and(|records| (1..=records.len()).contains(&number));
            let Some(view) = client.views.get_mut(topic).filter(|_| known) else { return false };
            *view.given.entry(number).or_default() += 1;
            view.hear(What::Event(number));
            true
        })
    }

    /// Enters a gap of one topic, or of all where none is named.
    pub fn told(&self, topic: Option<&str>, gap: &Told) {
        self.with(|client, _| {
            let views =
                client.views.iter_mut().filter(|(name, _)| topic.is_none_or(|topic| topic == name.as_str()));
            views.for_each(|(_, view)| view.hear(What::Gap(gap.clone())));
        });
    }

    /// Enters what no client should have been given.
    pub fn fault(&self, fault: String) {
        self.with(|client, _| client.faults.push(fault));
    }

    /// The client is gone, and nothing is due to it any more.
    pub fn leave(&self) {
        self.with(|client, _| client.gone = true);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Client, &HashMap<String, Vec<Record>>) -> T) -> T {
        let mut pages = self.books.pages();
        let Pages { topics, clients, .. } = &mut *pages;
        act(&mut clients[self.index], topics)
    }
}

impl View {
    fn hear(&mut self, what: What) {
        self.heard.push(Heard { at: Instant::now(), what });
    }

    fn gaps(&self) -> impl Iterator<Item = (Instant, &Told)> {
        self.heard.iter().filter_map(|heard| match &heard.what {
            What::Gap(gap) => Some((heard.at, gap)),
            What::Event(_) => None,
        })
    }

    /// What came again or behind a later one, although no rewind was told, and what no client may be given.
    fn out_of_order(&mut self, records: &[Record]) -> Vec<String> {
        let (mut faults, mut seen) = (Vec::new(), HashSet::new());
        for heard in &self.heard {
            let number = match &heard.what {
                What::Event(number) => *number,
                What::Gap(gap) => {
                    if gap.reason == "rewound" || gap.to < gap.from {
                        self.furthest = gap.to;
                        seen.clear();
                    }
                    continue;
                }
            };
            let record = &records[number - 1];
            if record.duty == Duty::Skip {
                faults.push(format!("was given entry {number}, which no client may be given"));
            }
            // An acknowledgement that never came leaves the id unknown.
            let Some(id) = record.ids.iter().max().copied() else { continue };
            let once = record.ids.len() == 1 && record.attempts <= 1;
            if once && id <= self.furthest {
                let what = if seen.contains(&number) { "again" } else { "out of order" };
                faults.push(format!(
                    "was given {number} ({id}) {what}, after {}; no rewind was told",
                    self.furthest
                ));
            }
            seen.insert(number);
            if once {
                self.furthest = self.furthest.max(id);
            }
        }
        faults
    }

    /// Events that were due and are neither given nor told, in one line.
    fn lost(
        &self,
        records: &[Record],
        settled: usize,
        kept: &[EventId],
        removed: impl Fn(EventId) -> bool,
    ) -> Option<String> {
        let since = self.since?;
        let due = (1..).zip(records).skip(settled).filter(|(number, record)| {
            let duty = match record.duty {
                Duty::Deliver => true,
                Duty::DeliverIfKept => record.ids.iter().any(|id| kept.contains(id)),
                Duty::Optional | Duty::Skip => false,
            };
            duty && record.began > since && !self.given.contains_key(number)
        });
        let due = due.filter_map(|(number, record)| Some((number, record, *record.ids.last()?)));
        let lost = due
            .filter(|(_, record, id)| !removed(*id) && !self.is_told(record.began, *id, kept.contains(id)));
        let lost: Vec<_> = lost
            .map(|(number, _, id)| format!("{number} ({id}), in the log: {}", kept.contains(&id)))
            .collect();
        let told: Vec<_> = self.gaps().map(|(_, gap)| gap).collect();
        (!lost.is_empty()).then(|| format!("lost without a word: {}; gaps told: {told:?}", lost.join(", ")))
    }

    fn is_told(&self, began: Instant, id: EventId, kept: bool) -> bool {
        let mut told = false;
        for (at, gap) in self.gaps() {
            if gap.from < id && id <= gap.to {
                return true;
            }
            match gap.reason.as_str() {
                _ if at < began => {}
                // What stands behind `to` is delivered again, and what no longer stands there is what was lost.
                "rewound" => told = !kept || id <= gap.to,
                "expired" | "deleted" | "unknown-cursor" => told |= !kept,
                _ => {}
            }
        }
        told
    }
}

fn parse(data: &str) -> Option<(&str, usize)> {
    let (topic, number) = data.split_once(' ')?;
    Some((topic, number.parse().ok()?))
}

#[cfg(test)]
mod tests;
