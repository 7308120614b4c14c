//! The floor's events as they go over the wire, one behind the other, and where each ends. Pure: a position in,
//! bytes out.

use std::collections::VecDeque;

/// Where a stream stands: the next event, and how much of it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) event: u64,
    pub(super) part: u32,
}

/// The encoded events that some stream may still need. Events are numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Log {
    bytes: Vec<u8>,
    /// Where each kept event ends in `bytes`.
    ends: VecDeque<usize>,
    /// The number of the first kept event.
    first: u64,
}

impl Log {
    /// The number that the next event gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// The first event that is kept.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Appends an event with `data`, under the id `<number + 1>-0`.
    pub(super) fn push(&mut self, data: &[u8]) {
        let id = format!("id: {}-0\ndata: ", self.next() + 1);
        let head = format!("{:x}\r\n{id}", id.len() + data.len() + 2);
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.extend_from_slice(b"\n\n\r\n");
        self.ends.push_back(self.bytes.len());
    }

    /// The rest of the event at `position`; empty when there is none yet.
    pub(super) fn event(&self, position: Position) -> &[u8] {
        let Some(index) = self.index(position.event) else { return &[] };
        &self.bytes[self.start(index) + position.part as usize..self.ends[index]]
    }

    /// All that follows `position`.
    pub(super) fn rest(&self, position: Position) -> &[u8] {
        let Some(index) = self.index(position.event) else { return &[] };
        &self.bytes[self.start(index) + position.part as usize..]
    }

    /// Where a stream at `position` stands after `sent` more bytes.
    pub(super) fn advance(&self, mut position: Position, mut sent: usize) -> Position {
        while sent > 0 {
            let left = self.event(position).len();
            if sent < left {
                position.part += u32::try_from(sent).unwrap_or(0);
                break;
            }
            position = Position { event: position.event + 1, part: 0 };
            sent -= left;
        }
        position
    }

    /// Forgets all events before `event`.
    pub(super) fn trim(&mut self, event: u64) {
        let count = usize::try_from(event.saturating_sub(self.first)).unwrap_or(0).min(self.ends.len());
        let Some(cut) = count.checked_sub(1).map(|last| self.ends[last]) else { return };
        self.bytes.drain(..cut);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|end| *end -= cut);
        self.first += count as u64;
    }

    fn index(&self, event: u64) -> Option<usize> {
        usize::try_from(event.checked_sub(self.first)?).ok().filter(|index| *index < self.ends.len())
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(count: usize) -> Log {
        let mut log = Log::default();
        (0..count).for_each(|n| log.push(format!("event {n}").as_bytes()));
        log
    }

    #[test]
    fn events_are_chunks_of_their_own() {
        assert_eq!(log(1).event(Position::default()), b"17\r\nid: 1-0\ndata: event 0\n\n\r\n");
    }

    #[test]
    fn any_way_of_sending_sends_all_once_and_in_order() {
        let log = log(12);
        let whole = log.rest(Position::default()).to_vec();
        for piece in 1..whole.len() {
            let (mut position, mut sent) = (Position::default(), Vec::new());
            while position.event < log.next() {
                let rest = log.rest(position);
                let now = &rest[..rest.len().min(piece)];
                sent.extend_from_slice(now);
                position = log.advance(position, now.len());
            }
            assert_eq!(sent, whole);
        }
    }

    #[test]
    fn trimming_keeps_positions() {
        let mut log = log(5);
        let third = log.event(Position { event: 2, part: 3 }).to_vec();
        log.trim(2);
        assert_eq!((log.first(), log.next()), (2, 5));
        assert_eq!(log.event(Position { event: 2, part: 3 }), third);
        log.trim(99);
        assert_eq!((log.first(), log.next(), log.rest(Position { event: 5, part: 0 })), (5, 5, &[][..]));
    }
}
