//! What a process says of itself: `/v1/node`, readiness, and the metrics that are read rather than counted.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_broker::FollowerStatus;
use sluice_gateway::Gateway;
use sluice_runtime::config::Config;
use sluice_runtime::lifecycle::{Lifecycle, Phase};
use sluice_runtime::ops::CheckState;
use sluice_runtime::telemetry::{BucketCounts, Telemetry, metric};

/// The answer of `/v1/node`.
pub(crate) fn node(config: &Config, lifecycle: &Lifecycle, up: Duration, gateway: Option<&Gateway>) -> Value {
    let mut node = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "role": config.role.as_str(),
        "uptime_s": up.as_secs(),
        "phase": phase(lifecycle.phase()),
        "redis": config.redis.url.to_string(),
    });
    if let Some(status) = gateway.map(Gateway::status) {
        node["streams"] = json!(status.streams);
        node["feeds"] = json!(status.feeds);
        node["topics"] = json!(status.topics);
        node["windows_bytes"] = json!(status.window_bytes);
        node["follower"] = follower(&status.follower);
    }
    node
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Draining => "draining",
    }
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
        "tail_check_age_ms": status.tail_check_age.map(|age| age.as_millis()),
        "reconnects": status.reconnects,
        "probe_round_trip_us": status.probe_round_trip.map(|trip| trip.as_micros()),
    })
}

/// Ready once the broker was reached; a loss that all nodes share does not change that unless it is wanted.
pub(crate) fn redis_check(reached: bool, live: bool, unready_on_loss: bool) -> CheckState {
    match (reached, live) {
        (false, _) => CheckState::Failing("the broker was not reached yet".to_owned()),
        (true, false) if unready_on_loss => CheckState::Failing("the broker is lost".to_owned()),
        (true, _) => CheckState::Ok,
    }
}

/// Publishes a gateway's figures at each scrape; `streams_max` is what it takes at most.
pub(crate) fn publish_metrics(telemetry: &Telemetry, gateway: &Gateway, streams_max: usize) {
    metric::STREAMS_MAX.gauge(&[]).set(as_f64(streams_max));
    let gateway = gateway.clone();
    let gauge = |metric: metric::Metric| metric.gauge(&[]);
    let counter = |metric: metric::Metric| metric.counter(&[]);
    let (feeds, topics, windows) =
        (gauge(metric::FEEDS), gauge(metric::TOPICS_ACTIVE), gauge(metric::WINDOWS_BYTES));
    let (up, probe) = (gauge(metric::REDIS_UP), gauge(metric::REDIS_PROBE_ROUND_TRIP));
    let (found, refilled) = (counter(metric::HOLES_FOUND), counter(metric::HOLES_REFILLED));
    let (checks, foreign) = (counter(metric::TAIL_CHECKS), counter(metric::FOREIGN_MESSAGES));
    let reconnects = counter(metric::REDIS_RECONNECTS);
    let (passes, deliveries, bytes) =
        (counter(metric::PASSES), counter(metric::DELIVERIES), counter(metric::BYTES_OUT));
    let (evicted, heartbeats) = (counter(metric::RINGS_EVICTED), counter(metric::HEARTBEATS));
    publish_delivery_lag(telemetry, &gateway);
    telemetry.on_scrape(Box::new(move || {
        let status = gateway.status();
        feeds.set(as_f64(status.feeds));
        topics.set(as_f64(status.topics));
        windows.set(as_f64(status.window_bytes));
        up.set(if status.follower.live { 1.0 } else { 0.0 });
        probe.set(status.follower.probe_round_trip.unwrap_or_default().as_secs_f64());
        found.absolute(status.follower.holes_found);
        refilled.absolute(status.follower.holes_refilled);
        checks.absolute(status.follower.tail_checks);
        foreign.absolute(status.follower.left_out);
        reconnects.absolute(status.follower.reconnects);
        let figures = status.shards.figures;
        passes.absolute(figures.passes);
        deliveries.absolute(figures.deliveries);
        bytes.absolute(figures.bytes);
        evicted.absolute(figures.evictions);
        heartbeats.absolute(figures.heartbeats);
    }));
}

fn publish_delivery_lag(telemetry: &Telemetry, gateway: &Gateway) {
    let gateway = gateway.clone();
    let read = move || {
        let (counts, sum) = gateway.delivery_lag();
        BucketCounts { counts, sum }
    };
    telemetry.on_scrape_histogram(metric::DELIVERY_LAG, Box::new(read));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; 2^53 of anything is out of reach")]
fn as_f64(value: usize) -> f64 {
    value as f64
}
