//! The metrics that are read when somebody scrapes, rather than counted where something happens.

use sluice_gateway::{Gateway, Tls};
use sluice_runtime::config::Config;
use sluice_runtime::lifecycle::{Lifecycle, Phase};
use sluice_runtime::telemetry::metric::{self, Counter, Gauge, Metric};
use sluice_runtime::telemetry::{BucketCounts, Telemetry};
use tokio::runtime::Handle;

/// Microseconds a second: what is counted in the first is printed in the second.
const MICROS: f64 = 1e6;

/// Publishes the figures of a process, whatever it is for. To be called in its runtime.
pub(crate) fn publish_process(telemetry: &Telemetry, config: &Config, lifecycle: &Lifecycle) {
    gauge(metric::DRAIN_PLANNED).set((config.drain.delay + config.drain.window).as_secs_f64());
    let (draining, age) = (gauge(metric::DRAINING), gauge(metric::DRAIN_AGE));
    let lifecycle = lifecycle.clone();
    telemetry.on_scrape(Box::new(move || {
        draining.set(if lifecycle.phase() == Phase::Draining { 1.0 } else { 0.0 });
        age.set(lifecycle.drain_age().unwrap_or_default().as_secs_f64());
    }));
    let runtime = Handle::current().metrics();
    gauge(metric::RUNTIME_WORKERS).set(as_f64(runtime.num_workers()));
    let (tasks, queued) = (gauge(metric::RUNTIME_TASKS), gauge(metric::RUNTIME_QUEUED));
    let (busy, parks) = (counter(metric::RUNTIME_BUSY), counter(metric::RUNTIME_PARKS));
    telemetry.on_scrape(Box::new(move || {
        tasks.set(as_f64(runtime.num_alive_tasks()));
        queued.set(as_f64(runtime.global_queue_depth()));
        let workers = 0..runtime.num_workers();
        let time: u128 = workers.clone().map(|w| runtime.worker_total_busy_duration(w).as_millis()).sum();
        busy.absolute(u64::try_from(time).unwrap_or(u64::MAX));
        parks.absolute(workers.map(|worker| runtime.worker_park_count(worker)).sum());
    }));
    publish_allocator(telemetry);
}

fn publish_allocator(telemetry: &Telemetry) {
    let (allocated, active) = (gauge(metric::ALLOCATOR_ALLOCATED), gauge(metric::ALLOCATOR_ACTIVE));
    let (resident, mapped) = (gauge(metric::ALLOCATOR_RESIDENT), gauge(metric::ALLOCATOR_MAPPED));
    telemetry.on_scrape(Box::new(move || {
        let Some(held) = crate::allocator::Held::read() else { return };
        allocated.set(as_f64(held.allocated));
        active.set(as_f64(held.active));
        resident.set(as_f64(held.resident));
        mapped.set(as_f64(held.mapped));
    }));
}

/// Publishes what is known of listeners without a connection: the end of their certificate.
pub(crate) fn publish_listeners(tls: Option<&Tls>) {
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    gauge(metric::TLS_CERTIFICATE_EXPIRY).set(tls.map_or(0.0, |tls| tls.status().expires_at_s as f64));
}

/// Publishes a gateway's figures; `streams_max` is what it takes at most.
pub(crate) fn publish_gateway(telemetry: &Telemetry, gateway: &Gateway, streams_max: usize) {
    gauge(metric::STREAMS_MAX).set(as_f64(streams_max));
    publish_follower(telemetry, gateway);
    publish_shards(telemetry, gateway);
    publish_replay_memory(telemetry, gateway);
    let (feeds, topics, windows) =
        (gauge(metric::FEEDS), gauge(metric::TOPICS_ACTIVE), gauge(metric::WINDOWS_BYTES));
    let node = gateway.clone();
    telemetry.on_scrape(Box::new(move || {
        let status = node.status();
        feeds.set(as_f64(status.feeds));
        topics.set(as_f64(status.topics));
        windows.set(as_f64(status.window_bytes));
    }));
    let histogram = |metric: Metric, per: f64, read: fn(&Gateway) -> (Vec<u64>, u64)| {
        let gateway = gateway.clone();
        telemetry.on_scrape_histogram(metric, Box::new(move || scaled(read(&gateway), per)));
    };
    histogram(metric::DELIVERY_LAG, MICROS, |gateway| gateway.lags().delivery);
    histogram(metric::CATCH_UP_LAG, MICROS, |gateway| gateway.lags().catch_up);
    histogram(metric::CATCH_UP_DURATION, MICROS, |gateway| gateway.lags().approach);
    histogram(metric::CATCH_UP_BYTES_WAIT, MICROS, |gateway| gateway.lags().memory_wait);
    histogram(metric::SHARD_TURN, MICROS, |gateway| gateway.status().shards.turns);
    histogram(metric::PASS_STREAMS, 1.0, |gateway| gateway.status().shards.passes);
}

fn publish_replay_memory(telemetry: &Telemetry, gateway: &Gateway) {
    gauge(metric::CATCH_UP_BYTES_MAX).set(as_f64(gateway.status().replay_memory.max));
    let (held, peak) = (gauge(metric::CATCH_UP_BYTES), gauge(metric::CATCH_UP_BYTES_PEAK));
    let gateway = gateway.clone();
    telemetry.on_scrape(Box::new(move || {
        let memory = gateway.status().replay_memory;
        held.set(as_f64(memory.held));
        peak.set(as_f64(memory.peak));
    }));
}

fn publish_follower(telemetry: &Telemetry, gateway: &Gateway) {
    let (up, probe) = (gauge(metric::REDIS_UP), gauge(metric::REDIS_PROBE_ROUND_TRIP));
    let (found, refilled) = (counter(metric::HOLES_FOUND), counter(metric::HOLES_REFILLED));
    let (checks, reads) = (counter(metric::TAIL_CHECKS), counter(metric::TAIL_CHECK_READS));
    let foreign = counter(metric::FOREIGN_MESSAGES);
    let (age, reconnects) = (gauge(metric::TAIL_CHECK_AGE), counter(metric::REDIS_RECONNECTS));
    let gateway = gateway.clone();
    telemetry.on_scrape(Box::new(move || {
        let follower = gateway.status().follower;
        up.set(if follower.live { 1.0 } else { 0.0 });
        probe.set(follower.probe_round_trip.unwrap_or_default().as_secs_f64());
        found.absolute(follower.holes_found);
        refilled.absolute(follower.holes_refilled);
        checks.absolute(follower.tail_checked_topics);
        reads.absolute(follower.tail_checks);
        age.set(follower.tail_check_age.unwrap_or_default().as_secs_f64());
        foreign.absolute(follower.left_out);
        reconnects.absolute(follower.reconnects);
    }));
}

fn publish_shards(telemetry: &Telemetry, gateway: &Gateway) {
    let (passes, deliveries, bytes) =
        (counter(metric::PASSES), counter(metric::DELIVERIES), counter(metric::BYTES_OUT));
    let (evicted, heartbeats) = (counter(metric::RINGS_EVICTED), counter(metric::HEARTBEATS));
    let (writes, blocks) = (counter(metric::WRITES), counter(metric::WRITE_BLOCKS));
    let (blocked, parked) = (gauge(metric::STREAMS_BLOCKED), gauge(metric::STREAMS_PARKED));
    let (shards, commands) = (gauge(metric::SHARDS), gauge(metric::SHARD_COMMANDS));
    let gateway = gateway.clone();
    telemetry.on_scrape(Box::new(move || {
        let status = gateway.status().shards;
        passes.absolute(status.figures.passes);
        deliveries.absolute(status.figures.deliveries);
        bytes.absolute(status.figures.bytes);
        evicted.absolute(status.figures.evictions);
        heartbeats.absolute(status.figures.heartbeats);
        writes.absolute(status.figures.writes);
        blocks.absolute(status.figures.blocks);
        blocked.set(as_f64(status.blocked));
        parked.set(as_f64(status.parked));
        shards.set(as_f64(status.shards));
        commands.set(as_f64(status.commands));
    }));
}

fn gauge(metric: Metric) -> Gauge {
    metric.gauge(&[])
}

fn counter(metric: Metric) -> Counter {
    metric.counter(&[])
}

/// What was counted in parts of a unit, in that unit.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn scaled((counts, sum): (Vec<u64>, u64), per: f64) -> BucketCounts {
    BucketCounts { counts, sum: sum as f64 / per }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; 2^53 of anything is out of reach")]
fn as_f64(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    fn what_is_counted_has_the_buckets_that_are_printed() {
        for (counted, printed, per) in [
            (sluice_gateway::LAG_US, metric::DELIVERY_LAG, MICROS),
            (sluice_gateway::LAG_US, metric::CATCH_UP_LAG, MICROS),
            (sluice_gateway::LAG_US, metric::CATCH_UP_DURATION, MICROS),
            (sluice_gateway::LAG_US, metric::CATCH_UP_BYTES_WAIT, MICROS),
            (sluice_gateway::TURN_US, metric::SHARD_TURN, MICROS),
            (sluice_gateway::PASS_STREAMS, metric::PASS_STREAMS, 1.0),
        ] {
            let counted: Vec<f64> = counted.iter().map(|bound| *bound as f64 / per).collect();
            assert_eq!(counted, printed.buckets(), "{}", printed.name);
        }
    }
}
