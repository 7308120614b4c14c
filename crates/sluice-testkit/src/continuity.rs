//! The books of a test: what was published and acknowledged on one side, what each client received on the other.
//!
//! Every payload names its topic and a number that counts up from 1 within it, so that a single arrival tells
//! what it is. The order that must be kept is that of the log, by the ids of the acknowledgements: two
//! publishers at work at once may well append number 8 before number 7.
//!
//! Redis itself may lose what it acknowledged, at a failover for instance. Such an event need not arrive; but who had
//! received it must be told that the log was rewound, and only behind that word may anything come again.

mod arrivals;
mod report;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use sluice_wire::EventId;

use arrivals::Arrivals;
pub use report::Continuity;

/// Counts what must arrive and what does. Clones are handles on the same books.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Books>);

#[derive(Debug, Default)]
struct Books {
    topics: Mutex<HashMap<String, Vec<Place>>>,
    clients: Mutex<Vec<Arc<Client>>>,
}

/// What became of the event with number `index + 1`.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Where it stands in the log, once it is acknowledged.
    id: Option<EventId>,
    /// It was acknowledged, and Redis lost it.
    gone: bool,
}

#[derive(Debug)]
struct Client {
    name: String,
    start: Start,
    topics: Mutex<HashMap<String, Arrivals>>,
}

/// From which event of a topic on a client must have everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From the first: the client was there before anything was published, or asked for all of it.
    Everything,
    /// From behind this id on: what the first frame of a stream of one topic says where it begins. Exact only where
    /// events are acknowledged with their ids.
    After(EventId),
    /// From the first that it received: it joined while events were flowing, and what it should have had before
    /// that cannot be known.
    FirstReceived,
}

/// An event that the test is about to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Its topic.
    pub topic: String,
    /// Its number within the topic, from 1.
    pub number: usize,
    /// What to publish: `<topic> <number>`, and after one more space whatever the test adds.
    pub payload: String,
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters the next event of `topic` as published; publish its payload.
    #[must_use]
    pub fn publish(&self, topic: &str) -> Publication {
        let mut topics = lock(&self.0.topics);
        let places = topics.entry(topic.to_owned()).or_default();
        places.push(Place::default());
        let number = places.len();
        Publication { topic: topic.to_owned(), number, payload: format!("{topic} {number}") }
    }

    /// Enters that Redis or the publisher acknowledged the event, with the id it was given: now nobody may lose it.
    pub fn acknowledge(&self, publication: &Publication, id: EventId) {
        if let Some(places) = lock(&self.0.topics).get_mut(&publication.topic) {
            places[publication.number - 1].id = Some(id);
        }
    }

    /// As [`Ledger::acknowledge`] where no id is known: the order is that of the numbers. A topic is acknowledged
    /// always with ids or always without.
    pub fn acknowledge_without_id(&self, publication: &Publication) {
        self.acknowledge(publication, EventId::new(0, publication.number as u64));
    }

    /// Enters which events of `topic` its log holds in the end, by their payloads, and returns how many Redis lost:
    /// those that were acknowledged and are not there. They need not arrive, but their loss must be told.
    pub fn kept<'a>(&self, topic: &str, payloads: impl IntoIterator<Item = &'a str>) -> Result<usize> {
        let mut topics = lock(&self.0.topics);
        let places = topics.get_mut(topic).with_context(|| format!("nothing was published to {topic}"))?;
        let mut kept = vec![false; places.len()];
        for data in payloads {
            let (_, number) = parse(data).with_context(|| format!("{data:?} is no payload of a ledger"))?;
            let kept = kept.get_mut(number - 1).with_context(|| format!("{data:?} was never published"))?;
            ensure!(!std::mem::replace(kept, true), "{data:?} stands in the log twice");
        }
        for (place, kept) in places.iter_mut().zip(kept) {
            place.gone = place.id.is_some() && !kept;
        }
        Ok(places.iter().filter(|place| place.gone).count())
    }

    /// How many events of `topic` were entered as published.
    #[must_use]
    pub fn published(&self, topic: &str) -> usize {
        lock(&self.0.topics).get(topic).map_or(0, Vec::len)
    }

    /// Enters a client of these topics.
    #[must_use]
    pub fn client(&self, name: &str, topics: &[&str], start: Start) -> ClientLedger {
        let topics = topics.iter().map(|topic| ((*topic).to_owned(), Arrivals::default())).collect();
        let client = Arc::new(Client { name: name.to_owned(), start, topics: Mutex::new(topics) });
        lock(&self.0.clients).push(client.clone());
        ClientLedger(client)
    }

    /// Whether every client has everything that was acknowledged; cheap enough to be polled.
    #[must_use]
    pub fn complete(&self) -> bool {
        let topics = lock(&self.0.topics);
        lock(&self.0.clients).iter().all(|client| {
            lock(&client.topics).iter().all(|(topic, arrivals)| {
                let places = topics.get(topic).map_or(&[][..], Vec::as_slice);
                // Newest first: what is missing while events flow is the newest, and one is enough.
                arrivals.missing(places, client.start).next_back().is_none()
            })
        })
    }

    /// Adds everything up.
    #[must_use]
    pub fn report(&self) -> Continuity {
        report::add_up(&lock(&self.0.topics), &lock(&self.0.clients))
    }
}

/// One client's side of the books.
#[derive(Debug, Clone)]
pub struct ClientLedger(Arc<Client>);

impl ClientLedger {
    /// Enters an arrival by its payload; a payload that no [`Publication`] of these topics has is an error.
    pub fn received(&self, data: &str) -> Result<()> {
        let (topic, number) = parse(data).with_context(|| format!("{data:?} is no payload of a ledger"))?;
        let mut topics = lock(&self.0.topics);
        let arrivals = topics.get_mut(topic);
        arrivals.with_context(|| format!("{} did not ask for topic {topic}", self.0.name))?.enter(number);
        Ok(())
    }

    /// Enters that the client was told that Redis lost events of `topic` that it may have seen.
    pub fn rewound(&self, topic: &str) -> Result<()> {
        let mut topics = lock(&self.0.topics);
        let arrivals = topics.get_mut(topic);
        arrivals.with_context(|| format!("{} did not ask for topic {topic}", self.0.name))?.rewound();
        Ok(())
    }

    /// Whether an event with a greater number than this has arrived in every one of its topics.
    #[must_use]
    pub fn is_beyond(&self, number_of: impl Fn(&str) -> usize) -> bool {
        lock(&self.0.topics).iter().all(|(topic, arrivals)| arrivals.greatest() > number_of(topic))
    }

    /// How many different events of its topics have arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.0.topics).values().map(Arrivals::distinct).sum()
    }
}

fn parse(data: &str) -> Option<(&str, usize)> {
    /// Far above any test; a larger number would only cost memory.
    const NUMBER_MAX: usize = 10_000_000;
    let mut words = data.split(' ');
    let (topic, number) = (words.next()?, words.next()?.parse().ok()?);
    (1..=NUMBER_MAX).contains(&number).then_some((topic, number))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
