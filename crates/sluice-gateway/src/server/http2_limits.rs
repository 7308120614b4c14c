//! What one HTTP/2 connection may cost.

use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;

use super::connection::Tasks;
use super::head_limit;
use super::settings::ListenerSettings;

/// Requests that a client may reset before they were looked at; more end the connection (rapid reset,
/// CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;
/// Streams that the peer's errors may make this side reset; more end the connection (CVE-2025-8671).
const ERROR_RESETS_MAX: usize = 128;
/// What a client may send of a body, and of all bodies, before it is read. Bytes.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// What waits for one stream's window. Bytes.
const SEND_BUFFER: usize = 64 << 10;
/// How often a silent peer is asked whether it is there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn builder(tasks: Tasks, settings: &ListenerSettings) -> http2::Builder<Tasks> {
    let head_bytes = u32::try_from(head_limit::read_bytes_max(settings)).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_streams_max)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .max_header_list_size(head_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
