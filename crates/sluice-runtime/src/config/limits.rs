//! `[limits]`: what a node takes on.

use std::time::Duration;

use super::section::Section;

const KIB: usize = 1 << 10;

/// Admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `limits.streams_max`: 0. Streams open at once; 0 for what the descriptor limit leaves.
    pub streams_max: usize,
    /// `limits.accept_per_second`: 5,000 new streams; more are shed.
    pub accept_per_second: u32,
    /// `limits.accept_burst`: 1,000 new streams above that rate at one moment.
    pub accept_burst: u32,
    /// `limits.streams_per_address_max`: 0. Streams of one network; 0 for any number.
    pub streams_per_address_max: u32,
    /// `limits.streams_per_subject_max`: 0. Streams of one subject; 0 for any number.
    pub streams_per_subject_max: u32,
    /// `limits.streams_per_topic_max`: 0. Streams of one topic; 0 for any number.
    pub streams_per_topic_max: u32,
    /// `limits.address_prefix_v4`: 32 leading bits are a network.
    pub address_prefix_v4: u8,
    /// `limits.address_prefix_v6`: 64 leading bits are a network.
    pub address_prefix_v6: u8,
    /// `limits.header_bytes_max`: 16 KiB of request head.
    pub header_bytes_max: usize,
    /// `limits.header_count_max`: 100 fields of a request head.
    pub header_count_max: usize,
    /// `limits.header_read_timeout_ms`: 10,000 for a request head to arrive.
    pub header_read_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 0,
            accept_per_second: 5_000,
            accept_burst: 1_000,
            streams_per_address_max: 0,
            streams_per_subject_max: 0,
            streams_per_topic_max: 0,
            address_prefix_v4: 32,
            address_prefix_v6: 64,
            header_bytes_max: 16 * KIB,
            header_count_max: 100,
            header_read_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_>, d: &Self) -> Self {
        Self {
            streams_max: section.integer("streams_max", d.streams_max, 0..=100_000_000),
            accept_per_second: section.integer("accept_per_second", d.accept_per_second, 1..=1_000_000),
            accept_burst: section.integer("accept_burst", d.accept_burst, 1..=1_000_000),
            streams_per_address_max: section.integer(
                "streams_per_address_max",
                d.streams_per_address_max,
                0..=100_000_000,
            ),
            streams_per_subject_max: section.integer(
                "streams_per_subject_max",
                d.streams_per_subject_max,
                0..=100_000_000,
            ),
            streams_per_topic_max: section.integer(
                "streams_per_topic_max",
                d.streams_per_topic_max,
                0..=100_000_000,
            ),
            address_prefix_v4: section.integer("address_prefix_v4", d.address_prefix_v4, 8..=32),
            address_prefix_v6: section.integer("address_prefix_v6", d.address_prefix_v6, 16..=128),
            // hyper refuses a read buffer below 8 KiB.
            header_bytes_max: section.bytes("header_bytes_max", d.header_bytes_max, 8 * KIB..=1_024 * KIB),
            header_count_max: section.integer("header_count_max", d.header_count_max, 16..=1_000),
            header_read_timeout: section.millis(
                "header_read_timeout_ms",
                d.header_read_timeout,
                100..=300_000,
            ),
        }
    }
}
