//! The node's counters. Handles are kept, since looking one up by name costs twenty times its increment.

use metrics::{Counter, Gauge, counter, gauge};
use sluice_broker::GapReason;

/// See the module.
#[derive(Clone)]
pub(crate) struct Tallies {
    events_in: Counter,
    frames_encoded: Counter,
    opened: Counter,
    streams: Gauge,
    catching_up: Gauge,
    replayed: Counter,
    reads_made: Counter,
    reads_saved: Counter,
}

impl std::fmt::Debug for Tallies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tallies")
    }
}

impl Tallies {
    /// Handles of the recorder that is installed; without one they count nothing.
    pub(crate) fn register() -> Self {
        Self {
            events_in: counter!("sluice_events_in_total"),
            frames_encoded: counter!("sluice_frames_encoded_total"),
            opened: counter!("sluice_streams_opened_total"),
            streams: gauge!("sluice_streams_open"),
            catching_up: gauge!("sluice_catch_up_streams"),
            replayed: counter!("sluice_replay_events_total"),
            reads_made: counter!("sluice_replay_reads_total"),
            reads_saved: counter!("sluice_replay_reads_saved_total"),
        }
    }

    pub(crate) fn events_in(&self, events: usize) {
        self.events_in.increment(events as u64);
        self.frames_encoded.increment(events as u64);
    }

    pub(crate) fn plain_in(&self) {
        self.events_in(1);
    }

    pub(crate) fn gap(&self, reason: GapReason) {
        counter!("sluice_gaps_total", "reason" => reason.as_str()).increment(1);
    }

    pub(crate) fn opened(&self) {
        self.opened.increment(1);
        self.streams.increment(1.0);
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        counter!("sluice_streams_closed_total", "reason" => reason).increment(1);
        self.streams.decrement(1.0);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        counter!("sluice_admission_refused_total", "reason" => reason).increment(1);
    }

    pub(crate) fn catch_up_began(&self) {
        self.catching_up.increment(1.0);
    }

    pub(crate) fn catch_up_ended(&self) {
        self.catching_up.decrement(1.0);
    }

    pub(crate) fn replayed(&self, events: usize) {
        self.replayed.increment(events as u64);
    }

    pub(crate) fn read_made(&self) {
        self.reads_made.increment(1);
    }

    pub(crate) fn read_saved(&self) {
        self.reads_saved.increment(1);
    }
}
