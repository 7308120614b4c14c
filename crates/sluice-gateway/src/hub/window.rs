//! The window of a topic: its recent events in memory, encoded, from which replays and joins are served.
//!
//! Invariant: every retained event of the topic with `after < id <= position` is in the window, where
//! `position` is the topic's on this node. A window may be shortened at its old end at any time (the log has
//! it all) and lengthened there by a page of the log that ends where it begins.

use std::collections::VecDeque;

use sluice_wire::EventId;
use sluice_wire::sse::Frame;

/// Bounds of the windows of a node.
#[derive(Debug, Clone, Copy)]
pub struct WindowLimits {
    /// Events of one window.
    pub events_max: usize,
    /// Bytes of one window.
    pub bytes_max: usize,
    /// Bytes of all windows of a node.
    pub node_bytes_max: usize,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self { events_max: 1_024, bytes_max: 1 << 20, node_bytes_max: 64 << 20 }
    }
}

/// An event as a stream of its topic alone is sent it.
pub(crate) type Encoded = (EventId, Frame);

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    after: EventId,
    /// The position of the topic: its last event, or an entry behind it that was skipped.
    through: EventId,
    events: VecDeque<Encoded>,
    bytes: usize,
}

impl Window {
    /// An empty window of a topic that stands at `position`.
    pub(crate) fn at(position: EventId) -> Self {
        Self { after: position, through: position, events: VecDeque::new(), bytes: 0 }
    }

    /// The size of the frames held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the topic's next event.
    pub(crate) fn push(&mut self, event: Encoded) {
        self.bytes += event.1.chunk().len();
        self.through = event.0;
        self.events.push_back(event);
    }

    /// Moves on over entries that are not events.
    pub(crate) fn skip_to(&mut self, position: EventId) {
        self.through = position;
    }

    /// Lengthens the window at its old end by `page`: all events from behind `from` to at least the window's
    /// beginning. Does nothing when it would not connect, or not fit.
    pub(crate) fn extend_back(&mut self, from: EventId, page: &[Encoded], limits: WindowLimits) {
        let reaches = page.last().is_some_and(|(id, _)| *id >= self.after);
        if from >= self.after || !reaches {
            return;
        }
        let older = page.partition_point(|(id, _)| *id <= self.after);
        let bytes: usize = page[..older].iter().map(|(_, frame)| frame.chunk().len()).sum();
        if self.events.len() + older > limits.events_max || self.bytes + bytes > limits.bytes_max {
            return;
        }
        for event in page[..older].iter().rev() {
            self.events.push_front(event.clone());
        }
        self.bytes += bytes;
        self.after = from;
    }

    /// Drops the oldest events until the window is within its limits.
    pub(crate) fn trim(&mut self, limits: WindowLimits) {
        while self.events.len() > limits.events_max || self.bytes > limits.bytes_max {
            self.drop_oldest();
        }
    }

    /// Drops the older half of the events.
    pub(crate) fn halve(&mut self) {
        for _ in 0..self.events.len().div_ceil(2) {
            self.drop_oldest();
        }
        self.events.shrink_to_fit();
    }

    /// At most `limit` events behind `position`; `None` when the window does not reach back to it. An event
    /// that the window should hold and does not (the log was rewound) is not reached either.
    pub(crate) fn page(&self, position: EventId, is_event: bool, limit: usize) -> Option<Vec<Encoded>> {
        if position < self.after {
            return None;
        }
        let start = self.events.partition_point(|(id, _)| *id <= position);
        let known = start.checked_sub(1).map_or(self.after, |before| self.events[before].0);
        if is_event && known != position && self.through != position {
            return None;
        }
        Some(self.events.range(start..).take(limit).cloned().collect())
    }

    fn drop_oldest(&mut self) {
        if let Some((id, frame)) = self.events.pop_front() {
            self.after = id;
            self.bytes -= frame.chunk().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WindowLimits = WindowLimits { events_max: 8, bytes_max: 1 << 20, node_bytes_max: 1 << 20 };

    fn event(ms: u64) -> Encoded {
        (EventId::at(ms), Frame::event(Some(EventId::at(ms)), None, "x"))
    }

    fn window(after: u64, ids: impl IntoIterator<Item = u64>) -> Window {
        let mut window = Window::at(EventId::at(after));
        ids.into_iter().for_each(|ms| window.push(event(ms)));
        window
    }

    fn ids(page: Option<Vec<Encoded>>) -> Option<Vec<u64>> {
        page.map(|events| events.iter().map(|(id, _)| id.ms).collect())
    }

    #[test]
    fn serves_what_it_holds_and_refuses_what_it_does_not() {
        let mut window = window(10, 11..=14);
        assert_eq!(ids(window.page(EventId::at(10), true, 9)), Some(vec![11, 12, 13, 14]));
        assert_eq!(ids(window.page(EventId::at(12), true, 1)), Some(vec![13]));
        assert_eq!(ids(window.page(EventId::at(14), true, 9)), Some(vec![]));
        assert_eq!(ids(window.page(EventId::at(9), false, 9)), None, "older than the window");
        assert_eq!(ids(window.page(EventId::new(12, 5), true, 9)), None, "an event that is not here");
        assert_eq!(ids(window.page(EventId::new(12, 5), false, 9)), Some(vec![13, 14]), "a moment");
        window.halve();
        assert_eq!(ids(window.page(EventId::at(12), true, 9)), Some(vec![13, 14]));
        assert_eq!(ids(window.page(EventId::at(11), true, 9)), None);
    }

    #[test]
    fn is_lengthened_only_by_pages_that_connect() {
        let page: Vec<_> = (5..=12).map(event).collect();
        let mut joined = window(10, 11..=12);
        joined.extend_back(EventId::at(4), &page, LIMITS);
        assert_eq!(ids(joined.page(EventId::at(4), true, 99)), Some((5..=12).collect()));

        let mut short = window(10, 11..=12);
        short.extend_back(EventId::at(4), &page[..5], LIMITS);
        assert_eq!(ids(short.page(EventId::at(4), true, 99)), None, "ends before the window begins");

        let mut full = window(10, 11..=14);
        full.extend_back(EventId::at(4), &page, LIMITS);
        assert_eq!(ids(full.page(EventId::at(4), true, 99)), None, "would not fit");
    }

    #[test]
    fn trimming_keeps_the_newest() {
        let mut window = window(0, 1..=20);
        window.trim(LIMITS);
        assert_eq!(ids(window.page(EventId::at(12), true, 99)), Some((13..=20).collect()));
        assert_eq!(window.bytes(), 8 * event(13).1.chunk().len());
    }
}
