//! Admission: how many streams a node takes, and how fast.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::settings::Limits;
use crate::tallies::Tallies;

/// A stream ended by its client's doing.
const CLIENT: &str = "client";

/// Why a stream is not taken now. Another time, or another node, may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The node holds as many streams as it may.
    Full,
    /// Streams come faster than they may.
    Rate,
    /// The node is going away.
    Draining,
}

impl Refusal {
    /// The reason as metrics and clients read it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "streams-max",
            Self::Rate => "accept-rate",
            Self::Draining => "draining",
        }
    }
}

/// The gate that every stream comes through. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    open: AtomicUsize,
    draining: AtomicBool,
    /// The drain is over: who is still here is cut off.
    over: AtomicBool,
    streams_max: usize,
    bucket: Mutex<Bucket>,
    tallies: Tallies,
}

/// A stream's place on the node, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    /// Why the stream ended, for the count.
    reason: &'static str,
    /// The stream is in a slot, which gives the place back.
    kept: bool,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, tallies: Tallies, now: Instant) -> Self {
        let bucket = Bucket::new(limits.accept_per_second, limits.accept_burst, now);
        Self {
            gate: Arc::new(Gate {
                open: AtomicUsize::new(0),
                draining: AtomicBool::new(false),
                over: AtomicBool::new(false),
                streams_max: limits.streams_max,
                bucket: Mutex::new(bucket),
                tallies,
            }),
        }
    }

    /// A place for one more stream.
    pub(crate) fn admit(&self, now: Instant) -> Result<Place, Refusal> {
        let gate = &self.gate;
        let refuse = |refusal: Refusal| {
            gate.tallies.refused(refusal.as_str());
            Err(refusal)
        };
        if gate.draining.load(Ordering::Acquire) {
            return refuse(Refusal::Draining);
        }
        if gate.open.fetch_add(1, Ordering::AcqRel) >= gate.streams_max {
            gate.open.fetch_sub(1, Ordering::AcqRel);
            return refuse(Refusal::Full);
        }
        if !gate.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now) {
            gate.open.fetch_sub(1, Ordering::AcqRel);
            return refuse(Refusal::Rate);
        }
        gate.tallies.opened();
        Ok(Place { gate: gate.clone(), reason: CLIENT, kept: false })
    }

    /// The place of a stream that comes out of a slot.
    pub(crate) fn resume(&self) -> Place {
        Place { gate: self.gate.clone(), reason: CLIENT, kept: false }
    }

    /// Gives back the place of a stream that was in a slot.
    pub(crate) fn leave(&self, reason: &'static str) {
        self.gate.release(reason);
    }

    /// Takes no stream from now on.
    pub(crate) fn drain(&self) {
        self.gate.draining.store(true, Ordering::Release);
    }

    /// Whether no stream is taken any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.gate.draining.load(Ordering::Acquire)
    }

    /// The drain is over: how many streams were ended in good order and how many were cut off, those that are
    /// still open included.
    pub(crate) fn end_drain(&self) -> (u64, u64) {
        self.gate.over.store(true, Ordering::Release);
        let (drained, cut) = self.gate.tallies.ended_by_node();
        (drained, cut + self.open() as u64)
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.gate.open.load(Ordering::Acquire)
    }
}

impl Place {
    /// Notes why the stream is going to end, should that not be its client's doing.
    pub(crate) fn ends_by(&mut self, reason: &'static str) {
        self.reason = reason;
    }

    /// Leaves the place to a slot: [`Admission::leave`] gives it back, [`Admission::resume`] takes it up.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Gate {
    fn release(&self, reason: &'static str) {
        // What is dropped on its way has no other reason to give.
        let reason = if reason == CLIENT && self.over.load(Ordering::Acquire) { "cut" } else { reason };
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.tallies.closed(reason);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            self.gate.release(self.reason);
        }
    }
}

/// A token bucket on a clock that is given to it.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self { per_second: f64::from(per_second), burst, tokens: burst, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission(streams_max: usize, accept_per_second: u32, accept_burst: u32, now: Instant) -> Admission {
        let limits = Limits { streams_max, accept_per_second, accept_burst, ..Limits::default() };
        Admission::new(&limits, Tallies::register(), now)
    }

    #[test]
    fn a_full_node_takes_a_stream_again_when_one_has_left() {
        let now = Instant::now();
        let admission = admission(2, 1_000, 1_000, now);
        let first = admission.admit(now).unwrap();
        let _second = admission.admit(now).unwrap();
        assert_eq!(admission.admit(now).unwrap_err(), Refusal::Full);
        drop(first);
        assert!(admission.admit(now).is_ok());
        assert_eq!(admission.open(), 1, "the place that was not kept was given back");
    }

    #[test]
    fn the_rate_holds_over_any_time_and_the_burst_at_once() {
        let start = Instant::now();
        let admission = admission(usize::MAX, 100, 10, start);
        let taken = |millis: u64| {
            let now = start + Duration::from_millis(millis);
            (0..1_000).take_while(|_| admission.admit(now).is_ok()).count()
        };
        assert_eq!(taken(0), 10);
        assert_eq!(taken(0), 0);
        assert_eq!(taken(50), 5);
        assert_eq!(taken(60_000), 10, "a quiet minute saves up no more than the burst");
        assert_eq!(admission.open(), 0, "refusals leave nothing behind");
    }

    #[test]
    fn a_draining_node_takes_nothing() {
        let now = Instant::now();
        let admission = admission(9, 9, 9, now);
        admission.drain();
        assert_eq!(admission.admit(now).unwrap_err(), Refusal::Draining);
    }
}
