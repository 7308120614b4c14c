//! What the operations listener of a process answers from.

use std::time::Instant;

use sluice_access::Access;
use sluice_runtime::config::Config;
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::ops::{CheckState, OpsState, Profiling};
use sluice_runtime::telemetry::Telemetry;
use tokio::net::TcpListener;

use super::Parts;
use super::readiness::Readiness;
use super::revocations::Revocations;
use crate::{allocator, profile, status};

/// Serves `listener` until the end of the process. `readiness`: what was proved of the broker.
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    parts: &Parts,
    readiness: &Readiness,
    access: (&Access, &Revocations),
    lifecycle: &Lifecycle,
    telemetry: &Telemetry,
) {
    let ops = with_access(state(config, parts, readiness, lifecycle, telemetry), access);
    let stop = lifecycle.hard.clone();
    lifecycle.spawn_essential("the operations listener", async move {
        ops.serve(listener, stop).await;
    });
}

/// A process that has credentials to judge is ready when it knows who is revoked.
fn with_access(ops: OpsState, (access, revocations): (&Access, &Revocations)) -> OpsState {
    if !access.has_credentials() {
        return ops;
    }
    let (known, read) = (access.clone(), revocations.clone());
    let (listed, revoked) = (revocations.clone(), revocations.clone());
    let check = move || match known.are_revocations_known() {
        true => CheckState::Ok,
        false => {
            let problem = read.problem().unwrap_or_else(|| "not tried yet".to_owned());
            CheckState::Failing(format!("the log of revocations was not read yet: {problem}"))
        }
    };
    ops.check("revocations", check)
        .revocations(move || listed.list(), move |body| revoked.clone().for_operator(body))
}

fn state(
    config: &Config,
    parts: &Parts,
    readiness: &Readiness,
    lifecycle: &Lifecycle,
    telemetry: &Telemetry,
) -> OpsState {
    let unready_on_loss = config.ops.unready_on_redis_loss;
    let (proved, watched) = (readiness.clone(), parts.gateway.clone());
    let redis = move || {
        let live = watched.as_ref().is_none_or(|gateway| gateway.status().follower.live);
        status::redis_check(proved.is_proved(), live, unready_on_loss)
    };
    let (told, life, gateway) = (config.clone(), lifecycle.clone(), parts.gateway.clone());
    let (publisher, tls) = (parts.publisher.clone(), parts.listener_settings.tls.clone());
    let (planned, drained) = (config.clone(), parts.gateway.clone());
    let began = Instant::now();
    let mut ops = OpsState::new(lifecycle.clone(), telemetry.clone())
        .check("redis", redis)
        .node(move || {
            status::node(&told, &life, began.elapsed(), gateway.as_ref(), publisher.as_ref(), tls.as_ref())
        })
        .drain_plan(move || status::drain_plan(&planned, drained.as_ref()));
    for name in readiness.names() {
        let readiness = readiness.clone();
        ops = ops.check(name, move || readiness.state(name));
    }
    if let Some(gateway) = parts.gateway.clone() {
        ops = ops.streams(move |query| {
            let gateway = gateway.clone();
            async move { gateway.census(query.topic, query.limit).await.as_ref().map(status::streams) }
        });
    }
    ops = ops.hosts(config.ops.hosts.clone());
    if config.ops.profiling {
        ops = ops.profiling(Profiling::new(profile::cpu(), allocator::report));
    }
    ops
}
