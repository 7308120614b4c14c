//! When a process is ready for the first time: when it has done once, with the user that it has, everything that its
//! role needs of the broker. What it loses later is another matter: its streams stay, and `stale` says so.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sluice_broker::{AccessCheck, Broker, BrokerError, Duties};
use sluice_diagnostics::{Outage, Repeated, millis};
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::ops::CheckState;

/// Between attempts.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What was proved so far. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    duties: Duties,
    shared: Arc<Mutex<Proved>>,
}

#[derive(Debug)]
struct Proved {
    all: bool,
    checks: Vec<(&'static str, CheckState)>,
}

impl Readiness {
    /// Nothing is proved yet. The embedded broker has no user and needs no proof beyond its being there.
    pub(super) fn new(duties: Duties, embedded: bool) -> Self {
        let names = [("subscribe", duties.reading), ("read", duties.reading), ("append", duties.appending)];
        let names = names.into_iter().filter(|(_, needed)| *needed && !embedded);
        let checks = names.map(|(name, _)| (name, CheckState::Failing("not tried yet".to_owned())));
        let proved = Proved { all: false, checks: checks.collect() };
        Self { duties, shared: Arc::new(Mutex::new(proved)) }
    }

    /// The names of what is to be proved.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.proved().checks.iter().map(|(name, _)| *name).collect()
    }

    /// Whether `name` was proved; what stands in its way if not.
    pub(super) fn state(&self, name: &str) -> CheckState {
        let proved = self.proved();
        let found = proved.checks.iter().find(|(known, _)| *known == name);
        found.map_or(CheckState::Ok, |(_, state)| state.clone())
    }

    /// Whether everything was proved.
    pub(super) fn is_proved(&self) -> bool {
        self.proved().all
    }

    /// Tries until all is proved, or the process is to end.
    pub(super) async fn prove(self, broker: Arc<dyn Broker>, lifecycle: Lifecycle) {
        let (mut pause, longest) = AGAIN;
        let mut log = ReadinessLog::default();
        loop {
            let checks = broker.check_access(self.duties).await;
            let failed = first_failure(&checks);
            self.note(&checks);
            let Some((check, error)) = failed else { break };
            log.failed(check, &error);
            if lifecycle.soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(longest);
        }
        self.proved().all = true;
        lifecycle.set_ready();
        log.ended();
    }

    /// What succeeded once stays proved.
    fn note(&self, checks: &[AccessCheck]) {
        let mut proved = self.proved();
        for check in checks {
            let known = proved.checks.iter_mut().find(|(name, _)| *name == check.name);
            let Some((_, state)) = known else { continue };
            *state = match &check.outcome {
                Ok(()) => CheckState::Ok,
                Err(error) => CheckState::Failing(error.to_string()),
            };
        }
    }

    fn proved(&self) -> MutexGuard<'_, Proved> {
        self.shared.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

/// The log lines about a process that is not ready yet.
#[derive(Default)]
struct ReadinessLog {
    began: Option<Instant>,
    outage: Outage,
    /// Whether what failed last may be mended by waiting.
    was_transient: Option<bool>,
}

impl ReadinessLog {
    fn failed(&mut self, check: &'static str, error: &BrokerError) {
        let now = Instant::now();
        self.began.get_or_insert(now);
        let is_transient = error.is_transient();
        if self.was_transient.replace(is_transient) != Some(is_transient) {
            // Another kind of reason is news: a Redis that has come back may refuse this user.
            self.outage = Outage::default();
        }
        match self.outage.failed(now) {
            Some(Repeated::First) if is_transient => tracing::warn!(check, "{error}; retrying"),
            Some(Repeated::First) => tracing::error!(check, "{error}; not ready, retrying"),
            Some(Repeated::Still { failures, since }) => {
                let since_ms = millis(since);
                tracing::warn!(check, failures, since_ms, "{error}; still not ready, retrying");
            }
            None => tracing::debug!(check, %error, "still not ready"),
        }
    }

    fn ended(&self) {
        match self.began {
            Some(began) => tracing::info!(waited_ms = millis(began.elapsed()), "ready: Redis can be used"),
            None => tracing::info!("ready"),
        }
    }
}

fn first_failure(checks: &[AccessCheck]) -> Option<(&'static str, BrokerError)> {
    let failure = |check: &AccessCheck| Some((check.name, check.outcome.as_ref().err()?.clone()));
    checks.iter().find_map(failure)
}
