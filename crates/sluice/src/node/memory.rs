//! Watches the memory of the process: whoever takes something in stops while it is short.

use std::path::Path;
use std::time::Duration;

use sluice_access::Pressure;
use sluice_runtime::config::Config;
use sluice_runtime::lifecycle::Lifecycle;
use sluice_runtime::memory::{LimitSource, MemoryGuard, MemoryLimit, limit, used};
use sluice_runtime::telemetry::metric;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks now and from then on, unless nobody knows how much there is, or nobody wants it watched.
pub(super) fn watch(config: &Config, pressure: &Pressure, lifecycle: &Lifecycle) {
    let share = config.limits.memory_share_percent;
    let Some(limit) = limit_of(config).filter(|_| share > 0) else { return };
    let guard = MemoryGuard::new(limit, share);
    tracing::debug!(
        limit = limit.bytes,
        source = limit.source.as_str(),
        mark = guard.mark(),
        "watching the memory"
    );
    metric::MEMORY_MARK.gauge(&[]).set(as_f64(guard.mark()));
    let mut watch = Watch { limit, guard, pressure: pressure.clone() };
    watch.look();
    let hard = lifecycle.hard.clone();
    lifecycle.spawn_essential("the watch on memory", async move {
        let mut looks = tokio::time::interval(LOOK);
        while hard.run_until_cancelled(looks.tick()).await.is_some() {
            watch.look();
        }
    });
}

/// The memory that the process may use: as configured, else what the machine or its control group says.
pub(super) fn limit_of(config: &Config) -> Option<MemoryLimit> {
    let configured = config.limits.memory_bytes as u64;
    let of_config = MemoryLimit { bytes: configured, source: LimitSource::Configured };
    if configured > 0 { Some(of_config) } else { limit(Path::new("/")) }
}

struct Watch {
    limit: MemoryLimit,
    guard: MemoryGuard,
    pressure: Pressure,
}

impl Watch {
    fn look(&mut self) {
        let Some(used) = used(Path::new("/"), self.limit) else { return };
        let short = self.guard.judge(used);
        metric::MEMORY_USED.gauge(&[]).set(as_f64(used));
        metric::MEMORY_SHORT.gauge(&[]).set(if short { 1.0 } else { 0.0 });
        let (mark, limit, source) = (self.guard.mark(), self.limit.bytes, self.limit.source.as_str());
        match (self.pressure.set(short), short) {
            (true, true) => {
                tracing::warn!(
                    used,
                    mark,
                    limit,
                    source,
                    "memory is short; refusing new streams and events until it is not"
                );
            }
            (true, false) => tracing::info!(
                used,
                mark,
                limit,
                source,
                "memory is no longer short; accepting streams and events again"
            ),
            (false, _) => {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are f64; bytes of memory stay far below 2^52")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}
