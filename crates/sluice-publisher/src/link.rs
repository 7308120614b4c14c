//! The broker behind its circuits: drives [`Circuits`] with appends, probes and the clock.
//!
//! While a partition's circuit is open one task probes that partition; events never serve as probes, so no
//! publisher pays a timeout to find out that it is still away. The circuit that an event is asked about is that
//! of its topic's partition at the moment: one that has vanished refuses nobody, and its next probe ends it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sluice_broker::{Appended, Broker, BrokerError, Partition, ReplicaWait};
use sluice_wire::{NewEvent, Topic};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::circuit::Open;
use crate::circuits::Circuits;
use crate::{CircuitSettings, PublishError};

pub(crate) struct Link {
    broker: Arc<dyn Broker>,
    circuits: Mutex<Circuits>,
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
        Self { broker, circuits: Mutex::new(Circuits::new(settings.clone())), settings, tracker, stop }
    }

    /// Whether the broker may be asked about any topic at all.
    pub(crate) fn check(&self) -> Result<(), Open> {
        if self.with_circuits(|circuits| circuits.all_pass()) {
            return Ok(());
        }
        let partitions = self.broker.partitions();
        self.with_circuits(|circuits| circuits.check_any(&partitions, Instant::now()))
    }

    /// What the broker may not be asked about, and why.
    pub(crate) fn open_circuits(&self) -> Vec<(Partition, Open)> {
        self.with_circuits(|circuits| circuits.open(Instant::now()))
    }

    /// Whether the broker may be asked about `topic`.
    pub(crate) fn check_for(&self, topic: &Topic) -> Result<(), Open> {
        if self.with_circuits(|circuits| circuits.all_pass()) {
            return Ok(());
        }
        let partition = self.broker.partition(topic);
        self.with_circuits(|circuits| circuits.check(&partition, Instant::now()))
    }

    /// Appends those of `events` whose circuit is closed; one result an event. `appended` is notified when nothing but
    /// replicas is waited for, if anything is sent.
    pub(crate) async fn append(
        self: &Arc<Self>,
        events: &[NewEvent],
        wait: ReplicaWait,
        appended: &Notify,
    ) -> Vec<Result<Appended, PublishError>> {
        // Before they are sent: the layout may change under way, and whoever takes over was not asked.
        let partitions: Vec<_> = events.iter().map(|event| self.broker.partition(&event.topic)).collect();
        let began = Instant::now();
        let checks: Vec<_> = self.with_circuits(|circuits| {
            circuits.flush_began(began);
            partitions.iter().map(|partition| circuits.check(partition, began)).collect()
        });
        let mut answers = self.send(events, &checks, wait, appended).await.into_iter();
        let results: Vec<_> = checks
            .into_iter()
            .map(|check| match check {
                Ok(()) => {
                    let missing = || Err(BrokerError::Unexpected("too few answers".into()));
                    Ok(answers.next().unwrap_or_else(missing))
                }
                Err(open) => Err(PublishError::from(open)),
            })
            .collect();
        self.learn(began, &partitions, &results);
        let retry_after = |partition| {
            let check = self.with_circuits(|circuits| circuits.check(partition, Instant::now()));
            check.err().map_or(self.settings.pause_min, |open| open.retry_after)
        };
        let told = results.into_iter().zip(&partitions).map(|(result, partition)| {
            result?.map_err(|error| PublishError::from_broker(&error, retry_after(partition)))
        });
        told.collect()
    }

    /// Sends those of `events` that passed their check; one answer to each of them.
    async fn send(
        &self,
        events: &[NewEvent],
        checks: &[Result<(), Open>],
        wait: ReplicaWait,
        appended: &Notify,
    ) -> Vec<Result<Appended, BrokerError>> {
        if checks.iter().all(Result::is_ok) {
            return self.broker.append_and_confirm(events, wait, appended).await;
        }
        let passing = events.iter().zip(checks).filter(|(_, check)| check.is_ok());
        let passing: Vec<_> = passing.map(|(event, _)| event.clone()).collect();
        if passing.is_empty() {
            return Vec::new();
        }
        self.broker.append_and_confirm(&passing, wait, appended).await
    }

    /// Draws the conclusions from a flush: a partition of which nothing was answered is away.
    fn learn(
        self: &Arc<Self>,
        began: Instant,
        partitions: &[Partition],
        results: &[Result<Result<Appended, BrokerError>, PublishError>],
    ) {
        let answers =
            || partitions.iter().zip(results).filter_map(|(at, result)| Some((at, result.as_ref().ok()?)));
        // A sender's own mistake is told to the sender alone.
        let is_of_the_broker = |e: &&BrokerError| !e.is_transient() && !matches!(e, BrokerError::KeyReused);
        let refusal = answers().filter_map(|(_, answer)| answer.as_ref().err()).find(is_of_the_broker);
        if let Some(refusal) = refusal {
            tracing::warn!(error = %refusal, "the broker refused an event");
        }
        // A broker whose replicas are behind is not away: it has the events.
        let is_away =
            |error: &&BrokerError| matches!(error, BrokerError::Unavailable(_) | BrokerError::NotAppended(_));
        let mut away: HashMap<&Partition, Option<&BrokerError>> = HashMap::new();
        for (partition, answer) in answers() {
            let failure = answer.as_ref().err().filter(is_away);
            let first = away.entry(partition).or_insert(failure);
            if failure.is_none() {
                *first = None;
            }
        }
        let away =
            away.into_iter().filter_map(|(partition, failure)| Some((partition, failure?.to_string())));
        let opened: Vec<_> = self.with_circuits(|circuits| {
            let now = Instant::now();
            let opened = away.filter(|(partition, why)| circuits.flush_failed(partition, began, now, why));
            let opened = opened.collect();
            circuits.flush_ended(began);
            opened
        });
        for (partition, why) in opened {
            tracing::warn!(error = why, %partition, "the broker is unavailable; events are refused until it answers");
            self.tracker.spawn(Arc::clone(self).probe_until_answered(partition.clone()));
        }
    }

    async fn probe_until_answered(self: Arc<Self>, partition: Partition) {
        while let Some(due) = self.with_circuits(|circuits| circuits.probe_at(&partition)) {
            let probe = async {
                tokio::time::sleep_until(due.into()).await;
                tokio::time::timeout(self.settings.probe_timeout, self.broker.probe(&partition)).await
            };
            let failure = match self.stop.run_until_cancelled(probe).await {
                None => return,
                Some(Ok(Ok(()))) => {
                    self.with_circuits(|circuits| circuits.probe_answered(&partition, Instant::now()));
                    tracing::info!(%partition, "the broker answers again; events are accepted");
                    return;
                }
                Some(Ok(Err(error))) => error.to_string(),
                Some(Err(_)) => "no answer to a probe".to_owned(),
            };
            let (now, chance) = (Instant::now(), fastrand::f64());
            self.with_circuits(|circuits| circuits.probe_failed(&partition, now, chance, &failure));
        }
    }

    fn with_circuits<T>(&self, act: impl FnOnce(&mut Circuits) -> T) -> T {
        act(&mut self.circuits.lock().unwrap_or_else(sluice_failure::poisoned))
    }
}
