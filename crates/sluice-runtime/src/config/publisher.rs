//! `[publisher]`: the way in.

use std::net::SocketAddr;
use std::time::Duration;

use super::Role;
use super::listen::{address, default_addr};
use super::section::Section;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The publisher's listener and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// `publisher.addr`: 0.0.0.0:8081; 127.0.0.1:8081 in `dev`, which serves its routes on `listen.addr`.
    pub addr: SocketAddr,
    /// `publisher.body_bytes_max`: 1 MiB for a single event or a JSON array; NDJSON is streamed.
    pub body_bytes_max: usize,
    /// `publisher.line_bytes_max`: 512 KiB a line of NDJSON.
    pub line_bytes_max: usize,
    /// `publisher.batch_bytes_max`: 64 MiB of NDJSON in one request.
    pub batch_bytes_max: usize,
    /// `publisher.batch_events_max`: 10,000 events in one request.
    pub batch_events_max: usize,
    /// `publisher.concurrency_max`: 256 requests with one event or an array in work at once.
    pub concurrency_max: usize,
    /// `publisher.uploads_max`: 256 requests of NDJSON open at once.
    pub uploads_max: usize,
    /// `publisher.body_idle_ms`: 2 min that a body may pause.
    pub body_idle: Duration,
    /// `publisher.flush_events_max`: 128 events in one pipeline to Redis.
    pub flush_events_max: usize,
    /// `publisher.wait_replicas`: 0 replicas must have an event before it is answered as published.
    pub wait_replicas: u8,
    /// `publisher.wait_replicas_max`: 3 replicas that a request may wait for.
    pub wait_replicas_max: u8,
    /// `publisher.wait_replicas_timeout_ms`: 1 s for the replicas to say so.
    pub wait_replicas_timeout: Duration,
}

impl Publisher {
    pub(super) fn default_for(role: Role) -> Self {
        Self {
            addr: default_addr(role, 8081),
            body_bytes_max: MIB,
            line_bytes_max: 512 * KIB,
            batch_bytes_max: 64 * MIB,
            batch_events_max: 10_000,
            concurrency_max: 256,
            uploads_max: 256,
            body_idle: Duration::from_secs(120),
            flush_events_max: 128,
            wait_replicas: 0,
            wait_replicas_max: 3,
            wait_replicas_timeout: Duration::from_secs(1),
        }
    }

    pub(super) fn read(section: &mut Section<'_>, d: &Self) -> Self {
        Self {
            addr: address(section, "addr", d.addr),
            body_bytes_max: section.bytes("body_bytes_max", d.body_bytes_max, KIB..=1_024 * MIB),
            line_bytes_max: section.bytes("line_bytes_max", d.line_bytes_max, KIB..=1_024 * MIB),
            batch_bytes_max: section.bytes("batch_bytes_max", d.batch_bytes_max, KIB..=64 << 30),
            batch_events_max: section.integer("batch_events_max", d.batch_events_max, 1..=1_000_000),
            concurrency_max: section.integer("concurrency_max", d.concurrency_max, 1..=65_536),
            uploads_max: section.integer("uploads_max", d.uploads_max, 1..=65_536),
            body_idle: section.millis("body_idle_ms", d.body_idle, 1_000..=86_400_000),
            flush_events_max: section.integer("flush_events_max", d.flush_events_max, 1..=10_000),
            wait_replicas: section.integer("wait_replicas", d.wait_replicas, 0..=16),
            wait_replicas_max: section.integer("wait_replicas_max", d.wait_replicas_max, 0..=16),
            wait_replicas_timeout: section.millis(
                "wait_replicas_timeout_ms",
                d.wait_replicas_timeout,
                1..=60_000,
            ),
        }
    }
}
