//! What a publisher is told at its start.

use std::time::Duration;

use crate::CircuitSettings;

/// Limits and widths of a [`Publisher`](crate::Publisher).
#[derive(Debug, Clone, PartialEq)]
pub struct PublisherSettings {
    /// How many flushes may be under way at once. Topics are spread over as many lanes; events of one topic
    /// always take the same lane, which is what keeps their order.
    pub lanes: usize,
    /// How many accepted events may wait for their answer.
    pub queue_events_max: usize,
    /// How many bytes of data these events may hold together; never less than one event of the greatest size.
    pub queue_bytes_max: usize,
    /// How many events one flush carries at most.
    pub flush_events_max: usize,
    /// How many bytes of data one flush carries at most; a larger event goes alone.
    pub flush_bytes_max: usize,
    /// How many bytes of data one event has at most.
    pub event_bytes_max: usize,
    /// How many replicas must have an event before it counts as published, where its sender says nothing else.
    pub wait_replicas: u8,
    /// How long the replicas have for that.
    pub wait_replicas_timeout: Duration,
    /// When to stop asking a broker that does not answer.
    pub circuit: CircuitSettings,
    /// Whether spans are made, with the process's tracer. Without, a caller's `traceparent` is carried along.
    pub traced: bool,
}

impl Default for PublisherSettings {
    fn default() -> Self {
        Self {
            lanes: 4,
            queue_events_max: 8_192,
            queue_bytes_max: 32 << 20,
            flush_events_max: 256,
            flush_bytes_max: 1 << 20,
            event_bytes_max: 256 << 10,
            wait_replicas: 0,
            wait_replicas_timeout: Duration::from_secs(1),
            circuit: CircuitSettings::default(),
            traced: false,
        }
    }
}
