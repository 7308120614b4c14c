//! The circuit: a pure state machine that knows whether asking the broker makes sense.
//!
//! Closed, everything passes. A flush in which nothing succeeded because the broker was unavailable opens it:
//! from then on events are refused at once and only a probe goes out, after a pause that doubles with each
//! probe that fails. Only an answered probe closes it, so that each opening has exactly one prober. Time and
//! chance are parameters; the invariant is that a flush which began before the circuit last closed cannot
//! open it again.

use std::time::{Duration, Instant};

/// How a circuit behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitSettings {
    /// The pause before the first probe.
    pub pause_min: Duration,
    /// The longest pause between probes.
    pub pause_max: Duration,
    /// How long a probe may take.
    pub probe_timeout: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(200),
            pause_max: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(2),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Circuit {
    settings: CircuitSettings,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { since: Option<Instant> },
    Open { pause: Duration, probe_at: Instant, why: String },
}

/// Why the circuit lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) why: String,
    pub(crate) retry_after: Duration,
}

impl Circuit {
    pub(crate) fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed { since: None } }
    }

    /// Whether the broker may be asked.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Open> {
        match &self.state {
            State::Closed { .. } => Ok(()),
            State::Open { probe_at, why, .. } => {
                let retry_after = probe_at.saturating_duration_since(now).max(self.settings.pause_min);
                Err(Open { why: why.clone(), retry_after })
            }
        }
    }

    /// A flush that began at `began` found the broker unavailable. Answers whether this opened the circuit.
    pub(crate) fn flush_failed(&mut self, began: Instant, now: Instant, why: &str) -> bool {
        match self.state {
            State::Closed { since } if since.is_none_or(|since| since <= began) => {
                let pause = self.settings.pause_min;
                self.state = State::Open { pause, probe_at: now + pause, why: why.to_owned() };
                true
            }
            State::Closed { .. } | State::Open { .. } => false,
        }
    }

    /// A probe failed: the next one goes out after twice the pause, less up to half of it by `chance`
    /// (0.0 to 1.0), so that many publishers do not probe in step.
    pub(crate) fn probe_failed(&mut self, now: Instant, chance: f64, why: &str) {
        if let State::Open { pause, probe_at, why: last } = &mut self.state {
            *pause = (*pause * 2).min(self.settings.pause_max);
            *probe_at = now + pause.mul_f64(1.0 - chance / 2.0);
            why.clone_into(last);
        }
    }

    /// A probe was answered: the circuit closes.
    pub(crate) fn probe_answered(&mut self, now: Instant) {
        self.state = State::Closed { since: Some(now) };
    }

    /// Whether it closed after `moment`, so that flushes from before it must be told apart.
    pub(crate) fn closed_after(&self, moment: Instant) -> bool {
        matches!(self.state, State::Closed { since: Some(since) } if since > moment)
    }

    /// When the next probe is due.
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { probe_at, .. } => Some(probe_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn circuit() -> (Circuit, Instant) {
        let settings = CircuitSettings { pause_min: 100 * MS, pause_max: 500 * MS, probe_timeout: 50 * MS };
        (Circuit::new(settings), Instant::now())
    }

    #[test]
    fn one_failure_opens_and_one_answer_closes() {
        let (mut circuit, t) = circuit();
        assert_eq!((circuit.check(t), circuit.probe_at()), (Ok(()), None));
        assert!(circuit.flush_failed(t, t, "refused"));
        assert!(!circuit.flush_failed(t, t, "refused"), "it is open already");
        assert_eq!(circuit.check(t), Err(Open { why: "refused".into(), retry_after: 100 * MS }));
        assert_eq!(circuit.probe_at(), Some(t + 100 * MS));
        circuit.probe_answered(t + 100 * MS);
        assert_eq!((circuit.check(t + 100 * MS), circuit.probe_at()), (Ok(()), None));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (mut circuit, t) = circuit();
        circuit.flush_failed(t, t, "");
        let pauses = [200, 400, 500, 500].map(|ms| ms * MS);
        for pause in pauses {
            circuit.probe_failed(t, 0.0, "");
            assert_eq!(circuit.probe_at(), Some(t + pause));
        }
        circuit.probe_failed(t, 1.0, "");
        assert_eq!(circuit.probe_at(), Some(t + 250 * MS));
        circuit.probe_answered(t);
        circuit.flush_failed(t, t, "");
        assert_eq!(circuit.probe_at(), Some(t + 100 * MS), "a new outage begins with the first pause");
    }

    #[test]
    fn a_flush_from_before_the_recovery_does_not_open_again() {
        let (mut circuit, t) = circuit();
        circuit.flush_failed(t, t + MS, "");
        circuit.probe_answered(t + 10 * MS);
        assert!(!circuit.flush_failed(t + 5 * MS, t + 20 * MS, "late"));
        assert_eq!(circuit.check(t + 20 * MS), Ok(()));
        assert!(circuit.flush_failed(t + 15 * MS, t + 20 * MS, "new"));
    }

    #[test]
    fn nobody_is_told_to_come_back_at_once() {
        let (mut circuit, t) = circuit();
        circuit.flush_failed(t, t, "");
        assert_eq!(circuit.check(t + 300 * MS).unwrap_err().retry_after, 100 * MS);
    }
}
