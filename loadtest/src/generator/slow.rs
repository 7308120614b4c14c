//! Streams that read a few bytes a second: they are taken off the poller and read by the clock, in turn.

use super::Generator;

/// How often the slow streams have their turns.
const TURN_NS: u64 = 100_000_000;
/// Turns a second.
const TURNS: usize = 10;

impl Generator {
    /// Reads what the slow streams may read by now: in each turn a tenth of them, each its bytes of one second.
    pub(super) fn slow_due(&mut self, now: u64) -> Option<u64> {
        if self.slow.is_empty() {
            return None;
        }
        if now < self.slow_at_ns {
            return Some(self.slow_at_ns);
        }
        self.slow_at_ns = now + TURN_NS;
        self.slow_turn = (self.slow_turn + 1) % TURNS;
        let turn: Vec<u32> =
            self.slow.iter().copied().filter(|slow| *slow as usize % TURNS == self.slow_turn).collect();
        for index in turn {
            let group = usize::from(self.streams[index as usize].group);
            let bytes = self.groups[group].slow_bytes_per_second.unwrap_or(1);
            self.receive(index, bytes as usize);
        }
        Some(self.slow_at_ns)
    }
}
