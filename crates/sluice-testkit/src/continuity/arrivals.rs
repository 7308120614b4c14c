//! What one client received of one topic: the numbers in the order of their arrival.

use sluice_wire::EventId;

use super::{Place, Start};

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    order: Vec<usize>,
    /// Whether number `index + 1` has arrived.
    seen: Vec<bool>,
    distinct: usize,
}

/// The faults of one client in one topic, as numbers of events.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Acknowledged, due to this client, and not there.
    pub(super) lost: Vec<usize>,
    /// There again.
    pub(super) repeated: Vec<usize>,
    /// There for the first time, but after an event that stands behind it in the log.
    pub(super) reordered: Vec<usize>,
    /// There, but never published.
    pub(super) foreign: Vec<usize>,
}

impl Arrivals {
    pub(super) fn enter(&mut self, number: usize) {
        if self.seen.len() < number {
            self.seen.resize(number, false);
        }
        if !std::mem::replace(&mut self.seen[number - 1], true) {
            self.distinct += 1;
        }
        self.order.push(number);
    }

    pub(super) fn distinct(&self) -> usize {
        self.distinct
    }

    /// The numbers of acknowledged events that should have arrived and have not.
    pub(super) fn missing(&self, places: &[Place], start: Start) -> impl DoubleEndedIterator<Item = usize> {
        let first = match start {
            Start::Everything => Some(EventId::ZERO),
            Start::After(id) => Some(id.after()),
            Start::FirstReceived => self.order.iter().find_map(|number| *places.get(number - 1)?),
        };
        let due = move |place: Place| first.is_some_and(|first| place.is_some_and(|place| place >= first));
        (1..=places.len()).filter(move |&number| due(places[number - 1]) && !self.has(number))
    }

    pub(super) fn faults(&self, places: &[Place], start: Start) -> Faults {
        let mut faults = Faults { lost: self.missing(places, start).collect(), ..Faults::default() };
        let mut arrived = vec![false; places.len()];
        let mut furthest = EventId::ZERO;
        for &number in &self.order {
            let Some(place) = places.get(number - 1) else {
                faults.foreign.push(number);
                continue;
            };
            if std::mem::replace(&mut arrived[number - 1], true) {
                faults.repeated.push(number);
            } else if place.is_some_and(|place| place < furthest) {
                faults.reordered.push(number);
            }
            furthest = furthest.max(place.unwrap_or_default());
        }
        faults
    }

    fn has(&self, number: usize) -> bool {
        self.seen.get(number - 1).copied().unwrap_or(false)
    }
}
