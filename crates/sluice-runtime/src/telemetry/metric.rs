//! The one list of metrics: every name that `/metrics` may print, with its kind, its labels and one line of
//! documentation. `docs/metrics.md` is held against it.

pub use metrics::{Counter, Gauge};

/// What a metric counts, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Samples in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Prometheus' word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// As it is printed, unit and `_total` included.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels. No topic and no client is ever one.
    pub labels: &'static [&'static str],
    /// One line.
    pub doc: &'static str,
}

impl Metric {
    /// The counter of this name in the current recorder. Keep it: looking it up costs more than counting.
    pub fn counter(&self, labels: &[(&'static str, &'static str)]) -> Counter {
        metrics::counter!(self.name, labels)
    }

    /// The gauge of this name in the current recorder.
    pub fn gauge(&self, labels: &[(&'static str, &'static str)]) -> Gauge {
        metrics::gauge!(self.name, labels)
    }

    /// The histogram of this name in the current recorder. Not for hot paths: it keeps every sample until the
    /// next scrape or upkeep.
    pub fn histogram(&self, labels: &[(&'static str, &'static str)]) -> metrics::Histogram {
        metrics::histogram!(self.name, labels)
    }

    /// The bounds of a histogram's buckets; none for other kinds.
    #[must_use]
    pub fn buckets(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }
}

/// The whole list as a Markdown table: the body of `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = "| metric | kind | labels | what |\n|---|---|---|---|\n".to_owned();
    for Metric { name, kind, labels, doc } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = [&format!("`{name}`"), kind.as_str(), &labels.join(", "), doc].join(" | ");
        text.push_str(&format!("| {row} |\n"));
    }
    text
}

/// Bounds of latencies, in seconds.
pub const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Bounds of the work of a shard's turn, in seconds.
pub const TURNS: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
/// Bounds of how many streams a pass visits.
pub const STREAMS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0];

macro_rules! metrics_list {
    ($($constant:ident = $kind:expr, $name:literal, [$($label:literal),*], $doc:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $doc)]
            pub const $constant: Metric = Metric { name: $name, kind: $kind, labels: &[$($label),*], doc: $doc };
        )*

        /// Every metric, in the order in which a reader would ask.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics_list! {
    BUILD_INFO = Kind::Gauge, "sluice_build_info", ["version", "role"], "1, labelled with what is running.";

    PANICS = Kind::Counter, "sluice_panics_total", ["place"], "Panics, by the work that they ended: request, stream, connection, operations or upkeep, after which the process goes on; or process, which then drains and exits with 70.";

    STREAMS_OPEN = Kind::Gauge, "sluice_streams_open", [], "Streams open on this node.";
    STREAMS_OPENED = Kind::Counter, "sluice_streams_opened_total", [], "Streams opened.";
    STREAMS_CLOSED = Kind::Counter, "sluice_streams_closed_total", ["reason"], "Streams closed, by why: client, aged, expired, revoked, drained, cut, stalled, lag, stop or poller.";
    ADMISSION_REFUSED = Kind::Counter, "sluice_admission_refused_total", ["reason"], "Streams refused or shed, by why: expired-rate, accept-rate, streams-max, streams-per-address-max, streams-per-subject-max, cluster-streams-per-subject-max, streams-per-topic-max, topics-max, memory or draining.";
    CLUSTER_LIMIT_ROUNDS = Kind::Counter, "sluice_cluster_limit_rounds_total", ["outcome"], "Times that this node told the others how many streams its subjects have, and asked them: answered or failed. Where limits.cluster_streams_per_subject_max is on.";
    CLUSTER_LIMIT_UNCHECKED = Kind::Counter, "sluice_cluster_limit_unchecked_total", [], "Streams that were judged by this node's own count, since the others could not be asked in time.";
    STREAMS_BLOCKED = Kind::Gauge, "sluice_streams_blocked", [], "Streams that lack frames of their ring and take nothing now.";
    STREAMS_PARKED = Kind::Gauge, "sluice_streams_parked", [], "Streams that wait to be writable before they are fed from the log.";
    STREAMS_MAX = Kind::Gauge, "sluice_streams_max", [], "Streams that this node takes at most.";
    MEMORY_USED = Kind::Gauge, "sluice_memory_used_bytes", [], "Memory that counts against the node's: its resident set and, in a control group that limits it, what the kernel holds for its sockets.";
    MEMORY_MARK = Kind::Gauge, "sluice_memory_mark_bytes", [], "Above how much of it the node takes nothing more in.";
    MEMORY_SHORT = Kind::Gauge, "sluice_memory_short", [], "1 while it takes nothing more in, else 0.";
    FEEDS = Kind::Gauge, "sluice_feeds", [], "Distinct sets of topics that streams of this node share.";
    TOPICS_ACTIVE = Kind::Gauge, "sluice_topics_active", [], "Topics that this node follows.";

    AUTH_REFUSED = Kind::Counter, "sluice_auth_refused_total", ["reason"], "Requests, and events of a batch, refused for their credentials or for want of them, by why.";
    AUTH_RENEWALS_ASKED = Kind::Counter, "sluice_auth_renewals_asked_total", ["reason"], "Browsers told by `sluice.expired`, in place of a status, that they need new credentials: expired, revoked or missing.";
    AUTH_KEY_LOADS = Kind::Counter, "sluice_auth_key_loads_total", ["source", "outcome"], "Times that keys were read again from a key set or a file: loaded or failed.";
    AUTH_JWKS_AGE = Kind::Gauge, "sluice_auth_jwks_age_seconds", [], "How long ago the oldest key set in use was fetched; from the start, where one never was.";
    AUTH_REVOCATIONS = Kind::Gauge, "sluice_auth_revocations", [], "Revocations in force.";
    AUTH_REVOCATIONS_RESTORED = Kind::Counter, "sluice_auth_revocations_restored_total", [], "Revocations that this process wrote again because the log had lost them, as after a failover.";

    CONNECTIONS_OPEN = Kind::Gauge, "sluice_connections_open", [], "Connections that hold no stream.";
    CONNECTIONS_ACCEPTED = Kind::Counter, "sluice_connections_accepted_total", [], "Connections accepted.";
    CONNECTIONS_CUT = Kind::Counter, "sluice_connections_cut_total", ["reason"], "Connections that the listener ended, by why: no-room, proxy-header, tls, handshake-timeout, head-timeout, malformed or stalled.";
    ACCEPT_PAUSES = Kind::Counter, "sluice_accept_pauses_total", [], "Times that nothing could be accepted for want of descriptors.";
    TLS_CERTIFICATE_EXPIRY = Kind::Gauge, "sluice_tls_certificate_expiry_timestamp_seconds", [], "When the certificate ends that is served, in seconds of the Unix epoch; 0 without TLS.";
    TLS_RELOADS = Kind::Counter, "sluice_tls_reloads_total", ["outcome"], "Changed certificates, by what became of them: ok, or failed, after which the old one is served on.";

    DRAINING = Kind::Gauge, "sluice_draining", [], "1 once the process is on its way out, else 0.";
    DRAIN_AGE = Kind::Gauge, "sluice_drain_age_seconds", [], "How long ago the drain began; 0 before.";
    DRAIN_PLANNED = Kind::Gauge, "sluice_drain_planned_seconds", [], "How long a drain is planned to take: its delay and its window.";

    EVENTS_IN = Kind::Counter, "sluice_events_in_total", [], "Events taken in from the broker.";
    DELIVERIES = Kind::Counter, "sluice_deliveries_total", [], "Events written to streams, counted once a stream.";
    BYTES_OUT = Kind::Counter, "sluice_bytes_out_total", [], "Bytes written to streams.";
    FRAMES_ENCODED = Kind::Counter, "sluice_frames_encoded_total", [], "Frames encoded.";
    PASSES = Kind::Counter, "sluice_passes_total", [], "Walks over the streams of a feed.";
    PASS_STREAMS = Kind::Histogram(STREAMS), "sluice_pass_streams", [], "Streams that a walk over a feed visited.";
    WRITES = Kind::Counter, "sluice_writes_total", [], "System calls that wrote to streams.";
    WRITE_BLOCKS = Kind::Counter, "sluice_write_blocks_total", [], "Times that a stream could not take all that it lacked.";
    DELIVERY_LAG = Kind::Histogram(SECONDS), "sluice_delivery_lag_seconds", [], "From an event's publish time to the last write of its first pass.";
    HEARTBEATS = Kind::Counter, "sluice_heartbeats_total", [], "Heartbeats written to streams.";
    RINGS_EVICTED = Kind::Counter, "sluice_rings_evicted_total", [], "Frames that left a ring before all its streams had them.";
    WINDOWS_BYTES = Kind::Gauge, "sluice_windows_bytes", [], "Memory that the windows of all topics hold.";

    CATCH_UP_STREAMS = Kind::Gauge, "sluice_catch_up_streams", [], "Streams being fed from the log.";
    CATCH_UP_DURATION = Kind::Histogram(SECONDS), "sluice_catch_up_duration_seconds", [], "From a stream's way to its ring to its arrival or its end.";
    CATCH_UP_LAG = Kind::Histogram(SECONDS), "sluice_catch_up_lag_seconds", [], "Age of the first event that a stream lacked when its ring had passed it.";
    CATCH_UP_BYTES = Kind::Gauge, "sluice_catch_up_bytes", [], "Memory granted for what is read of logs on its way to streams.";
    CATCH_UP_BYTES_PEAK = Kind::Gauge, "sluice_catch_up_bytes_peak", [], "The most of it that was granted at once.";
    CATCH_UP_BYTES_MAX = Kind::Gauge, "sluice_catch_up_bytes_max", [], "How much of it there is: streams.catch_up_bytes_max.";
    CATCH_UP_BYTES_WAIT = Kind::Histogram(SECONDS), "sluice_catch_up_bytes_wait_seconds", [], "How long reads of logs waited for it, of those that found too little free.";
    STREAMS_LAGGED = Kind::Counter, "sluice_streams_lagged_total", [], "Times that a ring had passed a stream, which then went back to the log or was ended.";
    REPLAY_EVENTS = Kind::Counter, "sluice_replay_events_total", [], "Events read from logs for streams.";
    REPLAY_READS = Kind::Counter, "sluice_replay_reads_total", [], "Reads of logs for replays.";
    REPLAY_READS_SAVED = Kind::Counter, "sluice_replay_reads_saved_total", [], "Replays that shared another's read or were served from memory.";
    GAPS = Kind::Counter, "sluice_gaps_total", ["reason"], "Gaps that streams were told of, by why.";

    HOLES_FOUND = Kind::Counter, "sluice_holes_found_total", [], "Holes and suspected rewinds: what the live channel brought did not follow on what the node had.";
    HOLES_REFILLED = Kind::Counter, "sluice_holes_refilled_total", [], "Of those, how many were read through in the log.";
    TAIL_CHECKS = Kind::Counter, "sluice_tail_checks_total", [], "Topics compared with their logs, counted each time.";
    TAIL_CHECK_READS = Kind::Counter, "sluice_tail_check_reads_total", [], "Requests that compared topics with their logs, a batch of topics each.";
    TAIL_CHECK_AGE = Kind::Gauge, "sluice_tail_check_age_seconds", [], "How long ago topics were last compared with their logs; 0 before the first time.";
    FOREIGN_MESSAGES = Kind::Counter, "sluice_foreign_messages_total", [], "Messages and log entries left out, because no client can be given them.";

    REDIS_UP = Kind::Gauge, "sluice_redis_up", [], "1 while the subscription proves itself live, else 0.";
    REDIS_RECONNECTS = Kind::Counter, "sluice_redis_reconnects_total", [], "Subscriptions rebuilt after a loss.";
    REDIS_PROBE_ROUND_TRIP = Kind::Gauge, "sluice_redis_probe_round_trip_seconds", [], "From the latest probe's publish to its return.";

    PUBLISHES = Kind::Counter, "sluice_publishes_total", ["outcome"], "Events offered to the publisher, by what became of them: appended or repeated; invalid, key-reused, denied, sender-rate, sender-requests, topic-rate, busy, memory, unavailable, unreplicated, refused or closed.";
    PUBLISH_DURATION = Kind::Histogram(SECONDS), "sluice_publish_duration_seconds", [], "From an event's acceptance to the broker's answer, for the oldest of each flush.";
    PUBLISH_FLUSHED = Kind::Counter, "sluice_publish_flushed_events_total", [], "Events sent to the broker, in all flushes.";
    APPEND_REPORTS = Kind::Counter, "sluice_append_reports_total", ["report"], "Reports of publish.lua about events that are in the log all the same: last-id-ahead (the log holds an id far ahead of Redis's clock), not-announced, not-trimmed, not-expiring or not-remembered (Redis refused that part).";

    TRACE_SPANS = Kind::Counter, "sluice_trace_spans_total", ["outcome"], "Spans made for a collector, by what became of them: exported, dropped (the queue was full), failed.";

    SHARDS = Kind::Gauge, "sluice_shards", [], "Threads that write to streams.";
    SHARD_TURN = Kind::Histogram(TURNS), "sluice_shard_turn_seconds", [], "Work of one turn of a shard's loop, without waiting.";
    SHARD_COMMANDS = Kind::Gauge, "sluice_shard_commands_queued", [], "Commands that shards have yet to take in.";
    RUNTIME_WORKERS = Kind::Gauge, "sluice_runtime_workers", [], "Threads of the async runtime.";
    RUNTIME_TASKS = Kind::Gauge, "sluice_runtime_tasks", [], "Tasks that are alive on it.";
    RUNTIME_QUEUED = Kind::Gauge, "sluice_runtime_queue_depth", [], "Tasks in its global queue.";
    RUNTIME_BUSY = Kind::Counter, "sluice_runtime_busy_milliseconds_total", [], "Time that its threads were at work, together.";
    RUNTIME_PARKS = Kind::Counter, "sluice_runtime_parks_total", [], "Times that one of its threads went to sleep.";
    ALLOCATOR_ALLOCATED = Kind::Gauge, "sluice_allocator_allocated_bytes", [], "Memory in use, as asked for.";
    ALLOCATOR_ACTIVE = Kind::Gauge, "sluice_allocator_active_bytes", [], "Memory of pages that hold something in use.";
    ALLOCATOR_RESIDENT = Kind::Gauge, "sluice_allocator_resident_bytes", [], "Memory of the allocator that is resident at most.";
    ALLOCATOR_MAPPED = Kind::Gauge, "sluice_allocator_mapped_bytes", [], "Address space that the allocator has mapped.";

    PROCESS_RESIDENT_MEMORY = Kind::Gauge, "process_resident_memory_bytes", [], "Resident memory.";
    PROCESS_OPEN_FDS = Kind::Gauge, "process_open_fds", [], "Open descriptors.";
    PROCESS_MAX_FDS = Kind::Gauge, "process_max_fds", [], "Descriptors that the process may open.";
    PROCESS_THREADS = Kind::Gauge, "process_threads", [], "Threads.";
    PROCESS_CPU = Kind::Counter, "process_cpu_seconds_total", [], "CPU time, user and system, in whole seconds.";
    PROCESS_START_TIME = Kind::Gauge, "process_start_time_seconds", [], "Start of the process, in seconds of the Unix epoch.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus_and_are_distinct() {
        for (at, metric) in ALL.iter().enumerate() {
            let Metric { name, kind, doc, .. } = metric;
            assert!(name.starts_with("sluice_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(doc.ends_with('.') && !doc.contains('\n'), "{name}");
            assert!(ALL[..at].iter().all(|other| other.name != *name), "{name} twice");
            assert!(metric.buckets().is_sorted(), "{name}");
            assert!(markdown().contains(&format!("| `{name}` | {} |", kind.as_str())), "{name}");
            for label in metric.labels {
                assert!(!["topic", "client", "ip", "user"].contains(label), "{name}");
            }
        }
    }
}
