//! The orderly end of a process, and what its exit code says of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sluice_diagnostics::millis;
use sluice_gateway::Drained;
use sluice_runtime::config::Config;
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::telemetry::Traces;

use super::Parts;

/// How long a process may take once its streams have ended: to finish what was accepted, and to send the last spans.
/// The chart's grace period is computed from it.
const FINISH: Duration = Duration::from_secs(10);
/// The same after a second signal.
const FINISH_FORCED: Duration = Duration::from_secs(2);
/// What of it is kept for the last spans, and for tasks to end once they have been told to.
const KEPT_FOR_SPANS: Duration = Duration::from_secs(1);
const KEPT_FOR_TASKS: Duration = Duration::from_secs(1);

/// The drain is over, and streams were cut off or work was left.
const CUT: u8 = 3;
/// A second signal ended the drain.
const FORCED: u8 = 4;
/// The process ended because a part of it failed: `EX_SOFTWARE` of sysexits.h.
const FAILED: u8 = 70;

/// First the balancer notices, then the streams end, then what was accepted is finished.
pub(super) async fn end(
    parts: &Parts,
    traces: Option<Traces>,
    config: &Config,
    lifecycle: &Lifecycle,
) -> ExitCode {
    let began = Instant::now();
    let (delay_ms, window_ms) = (millis(config.drain.delay), millis(config.drain.window));
    let streams = parts.gateway.as_ref().map_or(0, |gateway| gateway.status().streams);
    tracing::info!(
        streams,
        delay_ms,
        window_ms,
        "not ready from now on; taking no new streams after the delay, then telling those that are open to reconnect"
    );
    lifecycle.hard.run_until_cancelled(tokio::time::sleep(config.drain.delay)).await;
    parts.leaving.cancel();
    let mut streams = Drained { drained: 0, cut: 0 };
    if let Some(gateway) = &parts.gateway {
        streams = gateway.drain(config.drain.window, &lifecycle.hard).await;
    }
    let mut rest = Rest::new(Instant::now(), FINISH);
    if let Some(publisher) = &parts.publisher {
        let within = rest.before_last(KEPT_FOR_TASKS + KEPT_FOR_SPANS, Instant::now());
        let closing = async {
            // What is being sent is still taken, for half of the time; open batches of lines end by themselves.
            parts.requests.close();
            let _ = tokio::time::timeout(within / 2, parts.requests.wait()).await;
            publisher.close().await;
            // Their answers are on their way to the connections.
            parts.requests.wait().await;
        };
        lifecycle.hard.run_until_cancelled(tokio::time::timeout(within, closing)).await;
    }
    let forced = lifecycle.hard.is_cancelled();
    if forced {
        rest = Rest::new(Instant::now(), FINISH_FORCED);
    }
    lifecycle.hard.cancel();
    let finished = lifecycle.wait_idle(rest.before_last(KEPT_FOR_SPANS, Instant::now())).await;
    if let Some(traces) = traces {
        let left = rest.before_last(Duration::ZERO, Instant::now());
        traces.finish(left.min(config.telemetry.otlp.timeout)).await;
    }
    let Drained { drained, cut } = streams;
    let (took, took_ms) = (began.elapsed().as_secs_f64(), millis(began.elapsed()));
    let left = if finished { "" } else { "; work was left unfinished" };
    let how = if forced { ", ended early by a second signal" } else { "" };
    tracing::info!(
        took_ms,
        drained,
        cut,
        finished,
        forced,
        "shut down after {took:.1} s{how}: {drained} streams told to reconnect, {cut} cut off{left}"
    );
    if lifecycle.has_failed() {
        return ExitCode::from(FAILED);
    }
    match (forced, finished && cut == 0) {
        (true, _) => ExitCode::from(FORCED),
        (false, false) => ExitCode::from(CUT),
        (false, true) => ExitCode::SUCCESS,
    }
}

/// The time that is left to a process that ends. An orchestrator kills it soon after that, so nothing may outlast it,
/// whatever its own timeout is.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
}

impl Rest {
    fn new(now: Instant, whole: Duration) -> Self {
        Self { until: now + whole }
    }

    /// Returns how long is left until `kept` before the end.
    fn before_last(&self, kept: Duration, now: Instant) -> Duration {
        self.until.saturating_duration_since(now).saturating_sub(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_step_leaves_time_to_the_next_and_none_outlasts_the_end() {
        let began = Instant::now();
        let rest = Rest::new(began, FINISH);
        let events = rest.before_last(KEPT_FOR_TASKS + KEPT_FOR_SPANS, began);
        assert_eq!(events, SECOND * 8);
        let tasks = rest.before_last(KEPT_FOR_SPANS, began + events);
        assert_eq!(tasks, KEPT_FOR_TASKS);
        assert_eq!(rest.before_last(Duration::ZERO, began + events + tasks), KEPT_FOR_SPANS);
        assert_eq!(rest.before_last(Duration::ZERO, began + FINISH * 2), Duration::ZERO);
    }
}
