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
    /// `limits.cluster_streams_per_subject_max`: 0. Streams of one subject on all nodes together; 0 for any number.
    pub cluster_streams_per_subject_max: u32,
    /// `limits.streams_per_topic_max`: 0. Streams of one topic; 0 for any number.
    pub streams_per_topic_max: u32,
    /// `limits.topics_max`: 250,000. Topics followed at once, by all streams together; 0 for any number.
    pub topics_max: usize,
    /// `limits.address_prefix_v4`: 32 leading bits are a network.
    pub address_prefix_v4: u8,
    /// `limits.address_prefix_v6`: 64 leading bits are a network.
    pub address_prefix_v6: u8,
    /// `limits.refused_retry_ms`: 10,000 for a client that has as many streams as it may.
    pub refused_retry: Duration,
    /// `limits.refused_retry_max_ms`: 300,000, however many of them try.
    pub refused_retry_max: Duration,
    /// `limits.publish_per_second`: 0. Events of one sender; 0 for any number.
    pub publish_per_second: u32,
    /// `limits.publish_burst`: 100 of them at once.
    pub publish_burst: u32,
    /// `limits.topic_publish_per_second`: 0. Events for one topic; 0 for any number.
    pub topic_publish_per_second: u32,
    /// `limits.topic_publish_burst`: 1,000 of them at once.
    pub topic_publish_burst: u32,
    /// `limits.revoke_per_second`: 20. Revocations of one API key.
    pub revoke_per_second: u32,
    /// `limits.revoke_burst`: 100 of them at once.
    pub revoke_burst: u32,
    /// `limits.memory_share_percent`: 90 of the memory, above which nothing more is taken in; 0 for never.
    pub memory_share_percent: u8,
    /// `limits.memory_bytes`: 0. What the node may use; 0 for what the control group or the machine says.
    pub memory_bytes: usize,
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
            cluster_streams_per_subject_max: 0,
            streams_per_topic_max: 0,
            topics_max: 250_000,
            address_prefix_v4: 32,
            address_prefix_v6: 64,
            refused_retry: Duration::from_secs(10),
            refused_retry_max: Duration::from_secs(300),
            publish_per_second: 0,
            publish_burst: 100,
            topic_publish_per_second: 0,
            topic_publish_burst: 1_000,
            revoke_per_second: 20,
            revoke_burst: 100,
            memory_share_percent: 90,
            memory_bytes: 0,
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
            cluster_streams_per_subject_max: section.integer(
                "cluster_streams_per_subject_max",
                d.cluster_streams_per_subject_max,
                0..=100_000_000,
            ),
            streams_per_topic_max: section.integer(
                "streams_per_topic_max",
                d.streams_per_topic_max,
                0..=100_000_000,
            ),
            topics_max: section.integer("topics_max", d.topics_max, 0..=100_000_000),
            address_prefix_v4: section.integer("address_prefix_v4", d.address_prefix_v4, 8..=32),
            address_prefix_v6: section.integer("address_prefix_v6", d.address_prefix_v6, 16..=128),
            refused_retry: section.millis("refused_retry_ms", d.refused_retry, 100..=3_600_000),
            refused_retry_max: section.millis("refused_retry_max_ms", d.refused_retry_max, 100..=86_400_000),
            publish_per_second: section.integer("publish_per_second", d.publish_per_second, 0..=1_000_000),
            publish_burst: section.integer("publish_burst", d.publish_burst, 1..=1_000_000),
            topic_publish_per_second: section.integer(
                "topic_publish_per_second",
                d.topic_publish_per_second,
                0..=1_000_000,
            ),
            topic_publish_burst: section.integer("topic_publish_burst", d.topic_publish_burst, 1..=1_000_000),
            revoke_per_second: section.integer("revoke_per_second", d.revoke_per_second, 1..=1_000_000),
            revoke_burst: section.integer("revoke_burst", d.revoke_burst, 1..=1_000_000),
            memory_share_percent: section.integer("memory_share_percent", d.memory_share_percent, 0..=100),
            memory_bytes: section.bytes("memory_bytes", d.memory_bytes, 0..=1 << 50),
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
