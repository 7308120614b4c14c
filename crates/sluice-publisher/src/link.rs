//! The broker behind its circuit: drives [`Circuit`] with appends, probes and the clock.
//!
//! While the circuit is open one task probes with pings; events never serve as probes, so no publisher pays
//! a timeout to find out that the broker is still away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sluice_broker::{Appended, Broker, BrokerError, ReplicaWait};
use sluice_wire::NewEvent;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::circuit::{Circuit, Open};
use crate::{CircuitSettings, PublishError};

pub(crate) struct Link {
    broker: Arc<dyn Broker>,
    circuit: Mutex<Circuit>,
    settings: CircuitSettings,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Link {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        settings: CircuitSettings,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self { broker, circuit: Mutex::new(Circuit::new(settings.clone())), settings, tracker, stop }
    }

    pub(crate) fn check(&self) -> Result<(), Open> {
        self.with_circuit(|circuit| circuit.check(Instant::now()))
    }

    /// Appends `events` unless the circuit is open; one result an event.
    pub(crate) async fn append(
        self: &Arc<Self>,
        events: &[NewEvent],
        wait: ReplicaWait,
    ) -> Vec<Result<Appended, PublishError>> {
        if let Err(Open { why, retry_after }) = self.check() {
            return vec![Err(PublishError::Unavailable { why, retry_after }); events.len()];
        }
        let began = Instant::now();
        let mut results = self.broker.append_replicated(events, wait).await;
        results.resize_with(events.len(), || Err(BrokerError::Unexpected("too few answers".into())));
        self.learn(began, &results);
        let retry_after = self.check().err().map_or(self.settings.pause_min, |open| open.retry_after);
        let publish_error = |error| PublishError::from_broker(&error, retry_after);
        results.into_iter().map(|result| result.map_err(publish_error)).collect()
    }

    fn learn(self: &Arc<Self>, began: Instant, results: &[Result<Appended, BrokerError>]) {
        for refusal in
            results.iter().filter_map(|result| result.as_ref().err()).filter(|e| !e.is_transient()).take(1)
        {
            tracing::warn!(error = %refusal, "the broker refused an event");
        }
        // A broker whose replicas are behind is not away: it has the events.
        let is_away = |error: &&BrokerError| matches!(error, BrokerError::Unavailable(_));
        let mut failures = results.iter().map(|result| result.as_ref().err().filter(is_away));
        let Some(Some(first)) = failures.next() else { return };
        if failures.any(|failure| failure.is_none()) {
            return;
        }
        let why = first.to_string();
        if self.with_circuit(|circuit| circuit.flush_failed(began, Instant::now(), &why)) {
            tracing::warn!(error = why, "the broker is unavailable; events are refused until it answers");
            self.tracker.spawn(Arc::clone(self).probe_until_answered());
        }
    }

    async fn probe_until_answered(self: Arc<Self>) {
        while let Some(due) = self.with_circuit(|circuit| circuit.probe_at()) {
            let probe = async {
                tokio::time::sleep_until(due.into()).await;
                tokio::time::timeout(self.settings.probe_timeout, self.broker.ping()).await
            };
            let failure = match self.stop.run_until_cancelled(probe).await {
                None => return,
                Some(Ok(Ok(_))) => return self.answered(),
                Some(Ok(Err(error))) => error.to_string(),
                Some(Err(_)) => "no answer to a ping".to_owned(),
            };
            self.with_circuit(|circuit| circuit.probe_failed(Instant::now(), fastrand::f64(), &failure));
        }
    }

    fn answered(&self) {
        self.with_circuit(|circuit| circuit.probe_answered(Instant::now()));
        tracing::info!("the broker answers again; events are accepted");
    }

    fn with_circuit<T>(&self, act: impl FnOnce(&mut Circuit) -> T) -> T {
        act(&mut self.circuit.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
