//! What a scrape prints.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sluice_runtime::config::{LogFormat, Telemetry as Settings};
use sluice_runtime::telemetry::metric::{self, Kind};
use sluice_runtime::telemetry::{BucketCounts, Telemetry};

/// Name to type, as a scrape declares them.
fn declared(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn every_listed_metric_is_printed_as_it_is_listed() {
    let telemetry = Telemetry::detached().unwrap();
    telemetry.on_scrape(Box::new(|| {
        for metric in metric::ALL {
            let labels: Vec<(&'static str, &'static str)> =
                metric.labels.iter().map(|label| (*label, "x")).collect();
            match metric.kind {
                Kind::Counter => metric.counter(&labels).absolute(1),
                Kind::Gauge => metric.gauge(&labels).set(1.0),
                Kind::Histogram(_) => metric.histogram(&labels).record(1.0),
            }
        }
    }));
    let text = telemetry.render();
    let listed =
        metric::ALL.iter().map(|metric| (metric.name.to_owned(), metric.kind.as_str().to_owned())).collect();
    assert_eq!(declared(&text), listed);
    for metric in metric::ALL {
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.doc)), "{}", metric.name);
        for bound in metric.buckets() {
            assert!(
                text.contains(&format!("{}_bucket{{le=\"{bound}\"}} ", metric.name)),
                "{} {bound}",
                metric.name
            );
        }
    }
}

#[test]
fn the_process_describes_itself() {
    let text = Telemetry::detached().unwrap().render();
    let figure = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    };
    assert!(figure("process_resident_memory_bytes") > 1e6);
    assert!(figure("process_threads") >= 1.0);
    assert!(figure("process_open_fds") >= 3.0 && figure("process_open_fds") <= figure("process_max_fds"));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let start = figure("process_start_time_seconds");
    assert!((now - 600.0..now + 2.0).contains(&start), "started at {start}, now {now}");
}

#[test]
fn a_histogram_counted_elsewhere_is_read_at_every_scrape() {
    let telemetry = Telemetry::detached().unwrap();
    let count = Arc::new(AtomicU64::new(1));
    let read = Arc::clone(&count);
    let figures = move || BucketCounts { counts: vec![read.load(Ordering::SeqCst)], sum: 0.25 };
    telemetry.on_scrape_histogram(metric::DELIVERY_LAG, Box::new(figures));
    assert!(telemetry.render().contains("sluice_delivery_lag_seconds_bucket{le=\"+Inf\"} 1\n"));
    count.store(5, Ordering::SeqCst);
    let text = telemetry.render();
    assert!(text.contains("sluice_delivery_lag_seconds_bucket{le=\"0.0005\"} 5\n"), "{text}");
    assert!(text.contains("sluice_delivery_lag_seconds_count 5\n"), "{text}");
}

/// The only test that takes what a process has once.
#[test]
fn the_process_has_one_log_and_one_recorder() {
    let log_level = "error,sluice_runtime=debug".to_owned();
    let settings = Settings { log_format: LogFormat::Json, log_level, ..Settings::default() };
    let telemetry = Telemetry::init(&settings).unwrap();
    metric::EVENTS_IN.counter(&[]).increment(2);
    assert!(telemetry.render().contains("sluice_events_in_total 2\n"));
    assert!(Telemetry::init(&settings).is_err());
}
