//! `[streams]`: how streams are served.

use std::time::Duration;

use super::section::Section;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Heartbeats, retry, age, rings, shards and catch-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// `streams.heartbeat_ms`: 15,000. How long a stream may be silent.
    pub heartbeat: Duration,
    /// `streams.retry_ms`: 2,000. How long clients are told to wait before they reconnect.
    pub retry: Duration,
    /// `streams.retry_jitter_percent`: 50. How far a stream's own retry may be from that, either way.
    pub retry_jitter_percent: u8,
    /// `streams.max_age_s`: 3,600. Age at which a stream is ended so that its client moves on; `None` (0) never.
    pub max_age: Option<Duration>,
    /// `streams.on_lag`: "catch-up". What becomes of a stream that its ring has left behind.
    pub on_lag: OnLag,
    /// `streams.ring_events_max`: 1,024 frames a feed.
    pub ring_events_max: usize,
    /// `streams.ring_bytes_max`: 1 MiB a feed.
    pub ring_bytes_max: usize,
    /// `streams.write_stall_ms`: 60,000. A client that takes nothing for so long is ended.
    pub write_stall: Duration,
    /// `streams.shards`: 0. Threads that write to streams; 0 for one a core.
    pub shards: usize,
    /// `streams.pin_cpus`: false. Whether each shard keeps to one core.
    pub pin_cpus: bool,
    /// `streams.catch_up_readers_max`: 64 streams reading the log at once; the others wait their turn.
    pub catch_up_readers_max: usize,
    /// `streams.catch_up_page_events`: 128 events a read.
    pub catch_up_page_events: usize,
    /// `streams.catch_up_bytes_max`: 64 MiB for what is read of logs on its way to streams.
    pub catch_up_bytes_max: usize,
}

/// What becomes of a stream that its ring has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLag {
    /// It reads the log at its own pace and rejoins.
    CatchUp,
    /// It is ended; its client reconnects with its cursor.
    Disconnect,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            retry_jitter_percent: 50,
            max_age: Some(Duration::from_secs(3_600)),
            on_lag: OnLag::CatchUp,
            ring_events_max: 1_024,
            ring_bytes_max: MIB,
            write_stall: Duration::from_secs(60),
            shards: 0,
            pin_cpus: false,
            catch_up_readers_max: 64,
            catch_up_page_events: 128,
            catch_up_bytes_max: 64 * MIB,
        }
    }
}

impl Streams {
    pub(super) fn read(section: &mut Section<'_>, d: &Self) -> Self {
        let on_lag = [("catch-up", OnLag::CatchUp), ("disconnect", OnLag::Disconnect)];
        Self {
            heartbeat: section.millis("heartbeat_ms", d.heartbeat, 100..=600_000),
            retry: section.millis("retry_ms", d.retry, 1..=600_000),
            retry_jitter_percent: section.integer("retry_jitter_percent", d.retry_jitter_percent, 0..=100),
            max_age: section.seconds_or_off("max_age_s", d.max_age, 30 * 86_400),
            on_lag: section.choice("on_lag", d.on_lag, &on_lag),
            ring_events_max: section.integer("ring_events_max", d.ring_events_max, 2..=1_000_000),
            ring_bytes_max: section.bytes("ring_bytes_max", d.ring_bytes_max, KIB..=1_024 * MIB),
            write_stall: section.millis("write_stall_ms", d.write_stall, 1_000..=3_600_000),
            shards: section.integer("shards", d.shards, 0..=1_024),
            pin_cpus: section.switch("pin_cpus", d.pin_cpus),
            catch_up_readers_max: section.integer("catch_up_readers_max", d.catch_up_readers_max, 1..=65_536),
            catch_up_page_events: section.integer("catch_up_page_events", d.catch_up_page_events, 1..=10_000),
            catch_up_bytes_max: section.bytes("catch_up_bytes_max", d.catch_up_bytes_max, MIB..=1 << 40),
        }
    }
}
