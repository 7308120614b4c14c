//! The orderly end of a process, and what its exit code says of it.

use std::process::ExitCode;
use std::time::Duration;

use sluice_gateway::Drained;
use sluice_runtime::config::Config;
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::telemetry::Traces;

use super::Parts;

/// How long what was accepted may take to finish after the streams have ended, and when nobody wants to wait.
const FINISH: Duration = Duration::from_secs(10);
const FINISH_FORCED: Duration = Duration::from_secs(1);

/// The drain is over, and streams were cut off or work was left.
const CUT: u8 = 3;
/// A second signal ended the drain.
const FORCED: u8 = 4;

/// First the balancer notices, then the streams end, then what was accepted is finished.
pub(super) async fn end(
    parts: &Parts,
    traces: Option<Traces>,
    config: &Config,
    lifecycle: &Lifecycle,
) -> ExitCode {
    let (delay_ms, window_ms) = (config.drain.delay.as_millis(), config.drain.window.as_millis());
    tracing::info!(delay_ms, window_ms, "leaving; a second signal ends at once");
    lifecycle.hard.run_until_cancelled(tokio::time::sleep(config.drain.delay)).await;
    parts.leaving.cancel();
    let mut streams = Drained { drained: 0, cut: 0 };
    if let Some(gateway) = &parts.gateway {
        streams = gateway.drain(config.drain.window, &lifecycle.hard).await;
    }
    if let Some(publisher) = &parts.publisher {
        lifecycle.hard.run_until_cancelled(publisher.close()).await;
    }
    let forced = lifecycle.hard.is_cancelled();
    lifecycle.hard.cancel();
    let finished = lifecycle.wait_idle(if forced { FINISH_FORCED } else { FINISH }).await;
    if let Some(traces) = traces {
        traces.finish(if forced { FINISH_FORCED } else { config.telemetry.otlp.timeout }).await;
    }
    let Drained { drained, cut } = streams;
    tracing::info!(drained, cut, finished, forced, "gone");
    match (forced, finished && cut == 0) {
        (true, _) => ExitCode::from(FORCED),
        (false, false) => ExitCode::from(CUT),
        (false, true) => ExitCode::SUCCESS,
    }
}
