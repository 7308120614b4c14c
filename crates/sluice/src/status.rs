//! What a process says of itself: `/v1/node`, `/v1/streams`, readiness, and what a drain will do.

pub(crate) mod metrics;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_broker::FollowerStatus;
use sluice_gateway::{Census, Gateway, Listed, StreamPhase, Tls};
use sluice_publisher::{OpenCircuit, Publisher};
use sluice_runtime::config::{Config, Role};
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::ops::CheckState;

/// The answer of `/v1/node`.
pub(crate) fn node(
    config: &Config,
    lifecycle: &Lifecycle,
    up: Duration,
    gateway: Option<&Gateway>,
    publisher: Option<&Publisher>,
    tls: Option<&Tls>,
) -> Value {
    let mut node = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "role": config.role.as_str(),
        "uptime_s": up.as_secs(),
        "phase": lifecycle.phase().as_str(),
        "drain_age_ms": lifecycle.drain_age().map(|age| age.as_millis()),
        "redis": config.redis.url.to_string(),
        "listeners": listeners(config),
        "tls": tls.map(Tls::status).map(|status| json!({
            "expires_at_s": status.expires_at_s,
            "problem": status.problem,
        })),
    });
    if let Some(status) = gateway.map(Gateway::status) {
        node["streams"] = json!(status.streams);
        node["feeds"] = json!(status.feeds);
        node["topics"] = json!(status.topics);
        node["windows_bytes"] = json!(status.window_bytes);
        node["follower"] = follower(&status.follower);
        node["follower"]["unread"] = status.unread.iter().map(ToString::to_string).collect();
    }
    if let Some(circuits) = publisher.map(Publisher::open_circuits) {
        node["open_circuits"] = circuits.iter().map(circuit).collect();
    }
    node
}

/// What is served where, and by which protocols.
fn listeners(config: &Config) -> Value {
    let protocols: &[&str] = match (config.tls.cert_file.is_some(), config.listen.h2c) {
        (true, _) => &["https/1.1", "h2"],
        (false, true) => &["http/1.1", "h2c"],
        (false, false) => &["http/1.1"],
    };
    let listener = |what, addr: SocketAddr| json!({ "what": what, "addr": addr, "protocols": protocols });
    let (streams, publishing) = (config.listen.addr, config.publisher.addr);
    match config.role {
        Role::Publisher => json!([listener("publishing", publishing)]),
        Role::Dev => json!([listener("streams and publishing", streams)]),
        Role::Gateway | Role::Client => json!([listener("streams", streams)]),
    }
}

fn circuit(circuit: &OpenCircuit) -> Value {
    json!({
        "partition": circuit.partition.to_string(),
        "why": circuit.why,
        "retry_after_ms": circuit.retry_after.as_millis(),
    })
}

fn follower(status: &FollowerStatus) -> Value {
    json!({
        "live": status.live,
        "topics": status.topics,
        "refilling": status.refilling,
        "events": status.events,
        "holes_found": status.holes_found,
        "holes_refilled": status.holes_refilled,
        "gaps": status.gaps,
        "left_out": status.left_out,
        "tail_checks": status.tail_checks,
        "tail_checked_topics": status.tail_checked_topics,
        "tail_check_age_ms": status.tail_check_age.map(|age| age.as_millis()),
        "servers": status.servers,
        "servers_connected": status.servers_connected,
        "reconnects": status.reconnects,
        "probe_round_trip_us": status.probe_round_trip.map(|trip| trip.as_micros()),
    })
}

/// Ready once everything was proved; a loss that all nodes share does not change that unless it is wanted.
pub(crate) fn redis_check(proved: bool, live: bool, unready_on_loss: bool) -> CheckState {
    match (proved, live) {
        (false, _) => CheckState::Failing(
            "not everything that this role needs of Redis was tried with success".to_owned(),
        ),
        (true, false) if unready_on_loss => {
            CheckState::Failing("the connection to Redis is lost (ops.unready_on_redis_loss)".to_owned())
        }
        (true, _) => CheckState::Ok,
    }
}

/// What a drain that begins now will do.
pub(crate) fn drain_plan(config: &Config, gateway: Option<&Gateway>) -> Value {
    let streams = gateway.map(|gateway| gateway.status().streams);
    let (delay, window) = (config.drain.delay.as_millis(), config.drain.window.as_millis());
    let closes = streams.map_or(String::new(), |streams| {
        format!(
            " takes no stream from then on, closes those there are ({streams} now) evenly over {window} ms,"
        )
    });
    json!({
        "delay_ms": delay,
        "window_ms": window,
        "streams": streams,
        "what": format!(
            "not ready from now on; goes on as before for {delay} ms, then{closes} finishes what was accepted for \
             publishing, and exits"
        ),
    })
}

/// The answer of `/v1/streams`.
pub(crate) fn streams(census: &Census) -> Value {
    let told = census.worst.iter().map(stream);
    json!({
        "open": census.open,
        "catching_up": census.catching_up,
        "on_hyper": census.on_hyper,
        "silent_shards": census.silent_shards,
        "listed": census.worst.len(),
        "streams": told.collect::<Vec<_>>(),
    })
}

fn stream(listed: &Listed) -> Value {
    let report = &listed.report;
    let state = match report.phase {
        StreamPhase::Live => "live",
        StreamPhase::Blocked => "blocked",
        StreamPhase::Parked => "catching-up",
        StreamPhase::Closing => "closing",
    };
    let topics: Vec<&str> =
        report.topics.iter().flat_map(|set| set.members()).map(|(_, topic)| topic.as_str()).collect();
    json!({
        "state": state,
        "topics": topics,
        "subject": listed.subject,
        "token_id": listed.token_id,
        "issuer": listed.issuer,
        "peer": report.peer.map(|peer| peer.to_string()),
        "age_s": report.age_s,
        "idle_s": report.idle_s,
        "ends_in_s": report.ends_in_s,
        "behind_frames": report.behind_frames,
        "behind_bytes": report.behind_bytes,
        "shard": listed.shard,
    })
}
