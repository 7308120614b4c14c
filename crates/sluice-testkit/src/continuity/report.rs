//! The sum of the books: one row for the table of a test run, and the first faults by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::{Client, Place, lock};

const DETAILS_MAX: usize = 20;
const NUMBERS_MAX: usize = 10;

/// What was published and what became of it, over all topics and clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Continuity {
    /// Events published, acknowledged or not.
    pub published: usize,
    /// Events acknowledged: these must arrive.
    pub acknowledged: usize,
    /// Clients in the books.
    pub clients: usize,
    /// Different events that arrived, summed over the clients.
    pub delivered: usize,
    /// Acknowledged events that did not arrive at a client that was due them.
    pub lost: usize,
    /// Arrivals of what that client had before.
    pub repeated: usize,
    /// First arrivals behind an event that comes later in the log.
    pub reordered: usize,
    /// Arrivals of numbers that nobody published.
    pub foreign: usize,
    /// Acknowledged events that Redis itself lost: no fault of those between it and the clients.
    pub lost_by_redis: usize,
    /// Of these, arrivals whose clients were not told of the loss afterwards.
    pub untold: usize,
    /// Arrivals of what that client had before, after it was told that the log was rewound: no fault.
    pub replayed: usize,
    /// The first faults: client, topic, numbers.
    pub details: Vec<String>,
}

impl Continuity {
    /// The heading that goes above the rows.
    pub const HEADING: &str = "| published | acknowledged | clients | delivered | lost | repeated | reordered |\n|--:|--:|--:|--:|--:|--:|--:|";

    /// An error with the first faults unless everything due has arrived, once and in order.
    ///
    /// Books in which nothing arrived are an error too: such a test has shown nothing.
    pub fn assert_exact(&self) -> Result<()> {
        let faults = self.lost + self.repeated + self.reordered + self.foreign + self.untold;
        let heading = Self::HEADING;
        ensure!(faults == 0, "not exact:\n{heading}\n{self}\n{}", self.details.join("\n"));
        ensure!(self.delivered > 0, "nothing was delivered, so nothing was shown:\n{heading}\n{self}");
        Ok(())
    }

    fn detail(&mut self, client: &str, topic: &str, fault: &str, numbers: &[usize]) {
        if numbers.is_empty() || self.details.len() >= DETAILS_MAX {
            return;
        }
        let first: Vec<_> = numbers.iter().take(NUMBERS_MAX).map(ToString::to_string).collect();
        let more = if numbers.len() > NUMBERS_MAX { ", ..." } else { "" };
        let count = numbers.len();
        self.details.push(format!("{client}, topic {topic}: {count} {fault}: {}{more}", first.join(", ")));
    }
}

/// One row of the table under [`Continuity::HEADING`].
impl fmt::Display for Continuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, acknowledged, clients, delivered, lost, repeated, reordered, .. } = self;
        write!(
            f,
            "| {published} | {acknowledged} | {clients} | {delivered} | {lost} | {repeated} | {reordered} |"
        )
    }
}

pub(super) fn add_up(topics: &HashMap<String, Vec<Place>>, clients: &[Arc<Client>]) -> Continuity {
    let mut sum = Continuity {
        published: topics.values().map(Vec::len).sum(),
        acknowledged: topics.values().flatten().filter(|place| place.id.is_some()).count(),
        lost_by_redis: topics.values().flatten().filter(|place| place.gone).count(),
        clients: clients.len(),
        ..Continuity::default()
    };
    for client in clients {
        for (topic, arrivals) in lock(&client.topics).iter() {
            let places = topics.get(topic).map_or(&[][..], Vec::as_slice);
            let faults = arrivals.faults(places, client.start);
            sum.delivered += arrivals.distinct();
            sum.lost += faults.lost.len();
            sum.repeated += faults.repeated.len();
            sum.reordered += faults.reordered.len();
            sum.foreign += faults.foreign.len();
            sum.untold += faults.untold.len();
            sum.replayed += faults.replayed;
            sum.detail(&client.name, topic, "lost", &faults.lost);
            sum.detail(&client.name, topic, "repeated", &faults.repeated);
            sum.detail(&client.name, topic, "reordered", &faults.reordered);
            sum.detail(&client.name, topic, "never published", &faults.foreign);
            sum.detail(&client.name, topic, "lost by Redis without a word", &faults.untold);
        }
    }
    sum
}
