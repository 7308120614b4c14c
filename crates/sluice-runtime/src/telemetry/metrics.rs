//! The recorder behind the `metrics` macros, and what is added to it when somebody scrapes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;

use super::buckets::{self, BucketCounts};
use super::metric::{self, Kind, Metric};
use super::{TelemetryError, logs, process};
use crate::config;

/// How often samples that nobody scrapes are folded into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A cheap handle on the telemetry of this process.
#[derive(Clone)]
pub struct Telemetry(Arc<Shared>);

struct Shared {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    plain: Vec<Box<dyn Fn() + Send + Sync>>,
    histograms: Vec<(Metric, Box<dyn Fn() -> BucketCounts + Send + Sync>)>,
}

impl Telemetry {
    /// Sets up the log and makes this the recorder of the process. Once a process.
    ///
    /// # Errors
    /// If either is taken already, or the filter is none.
    pub fn init(settings: &config::Telemetry) -> Result<Self, TelemetryError> {
        logs::init(settings)?;
        let telemetry = Self::detached()?;
        ::metrics::set_global_recorder(Arc::clone(&telemetry.0.recorder))
            .map_err(|_| TelemetryError::Recorder)?;
        Ok(telemetry)
    }

    /// Metrics that only their own hooks feed: for several nodes in one process, and for tests.
    ///
    /// # Errors
    /// If the list of metrics is wrong.
    pub fn detached() -> Result<Self, TelemetryError> {
        let mut builder = PrometheusBuilder::new();
        for metric in metric::ALL.iter().filter(|metric| matches!(metric.kind, Kind::Histogram(_))) {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets())
                .map_err(|_| TelemetryError::Buckets(metric.name))?;
        }
        let recorder = Arc::new(builder.build_recorder());
        ::metrics::with_local_recorder(&recorder, describe);
        let handle = recorder.handle();
        Ok(Self(Arc::new(Shared { recorder, handle, hooks: Mutex::default() })))
    }

    /// Calls `hook` before every scrape, with this recorder in force: the place to publish figures that are
    /// counted elsewhere (`counter.absolute(..)`, `gauge.set(..)`).
    pub fn on_scrape(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.hooks().plain.push(hook);
    }

    /// Prints `metric` from what `read` returns at every scrape: for histograms counted in atomics.
    pub fn on_scrape_histogram(&self, metric: Metric, read: Box<dyn Fn() -> BucketCounts + Send + Sync>) {
        self.hooks().histograms.push((metric, read));
    }

    /// All metrics as Prometheus text, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let hooks = self.hooks();
        ::metrics::with_local_recorder(&self.0.recorder, || {
            process::publish();
            hooks.plain.iter().for_each(|hook| hook());
        });
        let mut text = self.0.handle.render();
        for (metric, read) in &hooks.histograms {
            buckets::write(&mut text, metric, &read());
        }
        text
    }

    /// Keeps the recorder small while nobody scrapes, until `stop`. Spawn it on the tracker.
    pub async fn upkeep(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.handle.run_upkeep();
        }
    }

    /// A hook that panicked has changed nothing here.
    fn hooks(&self) -> std::sync::MutexGuard<'_, Hooks> {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

fn describe() {
    for Metric { name, kind, doc, .. } in metric::ALL {
        match kind {
            Kind::Counter => ::metrics::describe_counter!(*name, *doc),
            Kind::Gauge => ::metrics::describe_gauge!(*name, *doc),
            Kind::Histogram(_) => ::metrics::describe_histogram!(*name, *doc),
        }
    }
}
