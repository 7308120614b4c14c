//! What one client received of one topic, in the order of its arrival: numbers, and word that the log was rewound.

use sluice_wire::EventId;

use super::{Place, Start};

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    order: Vec<Arrival>,
    /// Whether number `index + 1` has arrived.
    seen: Vec<bool>,
    distinct: usize,
}

#[derive(Debug, Clone, Copy)]
enum Arrival {
    Event(usize),
    /// From here on, what came before may come again.
    Rewound,
}

/// The faults of one client in one topic, as numbers of events.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Acknowledged, kept by Redis, due to this client, and not there.
    pub(super) lost: Vec<usize>,
    /// There again, and nothing said why.
    pub(super) repeated: Vec<usize>,
    /// There for the first time, but after an event that stands behind it in the log.
    pub(super) reordered: Vec<usize>,
    /// There, but never published.
    pub(super) foreign: Vec<usize>,
    /// There, but lost by Redis afterwards, and the client was not told.
    pub(super) untold: Vec<usize>,
    /// There again after word of a rewind: no fault.
    pub(super) replayed: usize,
}

impl Arrivals {
    pub(super) fn enter(&mut self, number: usize) {
        if self.seen.len() < number {
            self.seen.resize(number, false);
        }
        if !std::mem::replace(&mut self.seen[number - 1], true) {
            self.distinct += 1;
        }
        self.order.push(Arrival::Event(number));
    }

    pub(super) fn rewound(&mut self) {
        self.order.push(Arrival::Rewound);
    }

    pub(super) fn distinct(&self) -> usize {
        self.distinct
    }

    /// The greatest number that has arrived; 0 for none.
    pub(super) fn greatest(&self) -> usize {
        self.seen.len()
    }

    /// The numbers of events that should have arrived and have not.
    pub(super) fn missing(&self, places: &[Place], start: Start) -> impl DoubleEndedIterator<Item = usize> {
        let first = match start {
            Start::Everything => Some(EventId::ZERO),
            Start::After(id) => Some(id.after()),
            Start::FirstReceived => self.events().find_map(|number| places.get(number - 1)?.id),
        };
        let due = move |place: Place| {
            !place.gone && first.is_some_and(|first| place.id.is_some_and(|id| id >= first))
        };
        (1..=places.len()).filter(move |&number| due(places[number - 1]) && !self.has(number))
    }

    pub(super) fn faults(&self, places: &[Place], start: Start) -> Faults {
        let mut faults = Faults { lost: self.missing(places, start).collect(), ..Faults::default() };
        // How often the log had been rewound when the event arrived last.
        let mut arrived: Vec<Option<usize>> = vec![None; places.len()];
        let mut furthest = EventId::ZERO;
        let mut rewinds = 0;
        for arrival in &self.order {
            let Arrival::Event(number) = *arrival else {
                rewinds += 1;
                furthest = EventId::ZERO;
                continue;
            };
            let Some(place) = places.get(number - 1) else {
                faults.foreign.push(number);
                continue;
            };
            match arrived[number - 1].replace(rewinds) {
                Some(before) if before == rewinds => faults.repeated.push(number),
                again => {
                    faults.replayed += usize::from(again.is_some());
                    if place.id.is_some_and(|id| id < furthest) {
                        faults.reordered.push(number);
                    }
                }
            }
            furthest = furthest.max(place.id.unwrap_or_default());
        }
        let untold =
            |&(number, before): &(usize, Option<usize>)| places[number - 1].gone && before == Some(rewinds);
        faults.untold = (1..).zip(arrived).filter(untold).map(|(number, _)| number).collect();
        faults
    }

    fn events(&self) -> impl Iterator<Item = usize> {
        self.order.iter().filter_map(|arrival| match arrival {
            Arrival::Event(number) => Some(*number),
            Arrival::Rewound => None,
        })
    }

    fn has(&self, number: usize) -> bool {
        self.seen.get(number - 1).copied().unwrap_or(false)
    }
}
