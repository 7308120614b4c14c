//! What a gateway can be told. Plain values: reading and checking configuration is the binary's affair.

use std::time::Duration;

use sluice_access::{Access, AddressPrefixes, Pressure};
use sluice_broker::FollowerSettings;
pub use sluice_fanout::RingLimits;

pub use crate::hub::window::WindowLimits;

/// Settings of a gateway node.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Memory for recent events.
    pub windows: WindowLimits,
    /// Memory for what streams may still need.
    pub rings: RingLimits,
    /// How topics are followed and logs read.
    pub follower: FollowerSettings,
    /// Reads of logs that may be under way for streams that catch up.
    pub catch_up_readers_max: usize,
    /// Memory for what is read of logs on its way to clients.
    pub catch_up_bytes_max: usize,
    /// How streams behave.
    pub streams: StreamSettings,
    /// How much a node takes.
    pub limits: Limits,
    /// Whether the process is short of memory: then it takes no more streams.
    pub pressure: Pressure,
    /// Who may read what.
    pub access: Access,
    /// Whether a browser whose credentials have expired, were revoked or are missing is told by `sluice.expired` in a
    /// stream instead of by a status.
    pub expired_as_event: bool,
    /// Which pages of other origins may read.
    pub cors: CorsSettings,
    /// Whether spans are made, with the process's tracer.
    pub traced: bool,
}

/// How streams behave.
#[derive(Debug, Clone, Copy)]
pub struct StreamSettings {
    /// A stream that was silent for so long is sent a heartbeat.
    pub heartbeat: Duration,
    /// What clients are told to wait before they reconnect.
    pub retry: Duration,
    /// By how much of it, in percent, that differs from client to client.
    pub retry_jitter_percent: u8,
    /// What becomes of a stream that the ring has passed.
    pub on_lag: OnLag,
    /// A client that takes nothing for so long is given up.
    pub write_stall: Duration,
    /// A stream is ended at about this age, so that a cluster that has grown fills evenly.
    pub max_age: Option<Duration>,
    /// How much earlier than its token a stream may be ended, so that those of one moment do not end together.
    pub expiry_jitter: Duration,
    /// How far the clocks of whoever made the token may be off.
    pub leeway: Duration,
    /// Threads that write to streams; 0 for one a processor.
    pub shards: usize,
    /// Bind each of them to a processor.
    pub pin_cpus: bool,
}

/// What becomes of a stream that its feed's ring has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLag {
    /// It is fed from the log until it has caught up.
    #[default]
    CatchUp,
    /// It is ended; its client reconnects with its cursor.
    Disconnect,
}

/// How long clients of a name (a network, a subject, a topic) are told to wait that has as many streams as it may.
#[derive(Debug, Clone, Copy)]
pub struct RefusedWait {
    /// The first of them.
    pub least: Duration,
    /// However many try.
    pub most: Duration,
}

/// How much a node takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Streams open at once.
    pub streams_max: usize,
    /// Streams accepted in a second.
    pub accept_per_second: u32,
    /// Streams accepted at once after a quiet time.
    pub accept_burst: u32,
    /// Streams open at once from one network; 0 for any number.
    pub streams_per_address_max: u32,
    /// Which addresses are one network.
    pub address_prefixes: AddressPrefixes,
    /// Streams open at once of one subject; 0 for any number.
    pub streams_per_subject_max: u32,
    /// Streams open at once of one subject on all nodes together, as far as they know of each other; 0 for any number.
    pub cluster_streams_per_subject_max: u32,
    /// Streams open at once of one topic; 0 for any number.
    pub streams_per_topic_max: u32,
    /// How long a client waits that has as many streams as it may.
    pub refused_wait: RefusedWait,
    /// Topics of one stream.
    pub topics_per_stream_max: usize,
}

/// Which pages of other origins may read.
#[derive(Debug, Clone, Default)]
pub struct CorsSettings {
    /// Exact origins, such as `https://app.example`; `*` alone for every one.
    pub origins: Vec<String>,
    /// Whether cookies may come along. Not with `*`.
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Option<Duration>,
}

impl Default for GatewaySettings {
    /// The defaults of the configuration; nobody may read anything.
    fn default() -> Self {
        Self {
            windows: WindowLimits::default(),
            rings: RingLimits { events_max: 1_024, bytes_max: 1 << 20 },
            follower: FollowerSettings::default(),
            catch_up_readers_max: 64,
            catch_up_bytes_max: 64 << 20,
            streams: StreamSettings::default(),
            limits: Limits::default(),
            pressure: Pressure::default(),
            access: Access::open(Vec::new(), Vec::new()),
            expired_as_event: true,
            cors: CorsSettings::default(),
            traced: false,
        }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            retry_jitter_percent: 50,
            on_lag: OnLag::CatchUp,
            write_stall: Duration::from_secs(60),
            max_age: Some(Duration::from_secs(3_600)),
            expiry_jitter: Duration::from_secs(10),
            leeway: Duration::from_secs(10),
            shards: 0,
            pin_cpus: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: usize::MAX,
            accept_per_second: 5_000,
            accept_burst: 5_000,
            streams_per_address_max: 0,
            address_prefixes: AddressPrefixes::default(),
            streams_per_subject_max: 0,
            cluster_streams_per_subject_max: 0,
            streams_per_topic_max: 0,
            refused_wait: RefusedWait { least: Duration::from_secs(10), most: Duration::from_secs(300) },
            topics_per_stream_max: 64,
        }
    }
}
