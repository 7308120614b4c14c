//! What a publisher counts. The handles are taken from the recorder that is installed when the publisher
//! starts, so that counting is an atomic addition.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use sluice_broker::Appended;

use crate::PublishError;

pub(crate) struct Measures {
    appended: Counter,
    repeated: Counter,
    invalid: Counter,
    key_reused: Counter,
    denied: Counter,
    unavailable: Counter,
    unreplicated: Counter,
    refused: Counter,
    busy: Counter,
    closed: Counter,
    sender_rate: Counter,
    sender_requests: Counter,
    topic_rate: Counter,
    memory: Counter,
    flush_seconds: Histogram,
    flush_events: Counter,
}

impl Measures {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "sluice_publishes_total",
            "Events offered to the publisher, by what became of them"
        );
        describe_histogram!(
            "sluice_publish_duration_seconds",
            Unit::Seconds,
            "From an event's acceptance to the broker's answer, for the oldest of each flush."
        );
        describe_counter!("sluice_publish_flushed_events_total", "Events sent to the broker, in all flushes");
        let outcome = |outcome: &'static str| counter!("sluice_publishes_total", "outcome" => outcome);
        Self {
            appended: outcome("appended"),
            repeated: outcome("repeated"),
            invalid: outcome("invalid"),
            key_reused: outcome("key-reused"),
            denied: outcome("denied"),
            unavailable: outcome("unavailable"),
            unreplicated: outcome("unreplicated"),
            refused: outcome("refused"),
            busy: outcome("busy"),
            closed: outcome("closed"),
            sender_rate: outcome("sender-rate"),
            sender_requests: outcome("sender-requests"),
            topic_rate: outcome("topic-rate"),
            memory: outcome("memory"),
            flush_seconds: histogram!("sluice_publish_duration_seconds"),
            flush_events: counter!("sluice_publish_flushed_events_total"),
        }
    }

    /// What became of an event.
    pub(crate) fn outcome(&self, result: &Result<Appended, PublishError>) {
        match result {
            Ok(Appended { repeated: false, .. }) => &self.appended,
            Ok(Appended { repeated: true, .. }) => &self.repeated,
            Err(PublishError::Invalid { .. }) => &self.invalid,
            Err(PublishError::KeyReused) => &self.key_reused,
            Err(PublishError::Unavailable { .. } | PublishError::NotSent { .. }) => &self.unavailable,
            Err(PublishError::NotReplicated { .. }) => &self.unreplicated,
            Err(PublishError::Refused(_)) => &self.refused,
            Err(PublishError::TooBusy) => &self.busy,
            Err(PublishError::Closed) => &self.closed,
        }
        .increment(1);
    }

    /// A request or line never became an event.
    pub(crate) fn malformed(&self) {
        self.invalid.increment(1);
    }

    /// An event came faster than it may, or a request while too many of its sender were open; the reason is what the
    /// sender was told.
    pub(crate) fn limited(&self, reason: &str) {
        match reason {
            "topic-rate" => &self.topic_rate,
            "sender-requests" => &self.sender_requests,
            _ => &self.sender_rate,
        }
        .increment(1);
    }

    /// A request found the process short of memory or of places.
    pub(crate) fn overloaded(&self, reason: &str) {
        if reason == "too-busy" { &self.busy } else { &self.memory }.increment(1);
    }

    /// A request or line was for a topic that its sender may not publish to.
    pub(crate) fn denied(&self) {
        self.denied.increment(1);
    }

    /// A flush was answered.
    pub(crate) fn flushed(&self, events: usize, oldest: Duration) {
        self.flush_events.increment(events as u64);
        self.flush_seconds.record(oldest);
    }
}
