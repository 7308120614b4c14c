//! Histograms that were counted elsewhere, written as Prometheus text.

use std::fmt::Write as _;

use super::metric::Metric;

/// What a fixed-bucket histogram has counted up to now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BucketCounts {
    /// Samples in each bucket of the metric's bounds, not accumulated; one more for those above the last bound.
    pub counts: Vec<u64>,
    /// The sum of all samples, in the metric's unit.
    pub sum: f64,
}

/// Appends `figures` of `metric` to a Prometheus text. A bucket without a count is empty.
pub(super) fn write(text: &mut String, metric: &Metric, figures: &BucketCounts) {
    let name = metric.name;
    let mut total = 0;
    let mut lines = format!("# HELP {name} {}\n# TYPE {name} histogram\n", metric.doc);
    for (at, bound) in metric.buckets().iter().enumerate() {
        total += figures.counts.get(at).copied().unwrap_or(0);
        writeln!(lines, "{name}_bucket{{le=\"{bound}\"}} {total}").unwrap_or_default();
    }
    total += figures.counts.get(metric.buckets().len()).copied().unwrap_or(0);
    writeln!(lines, "{name}_bucket{{le=\"+Inf\"}} {total}").unwrap_or_default();
    writeln!(lines, "{name}_sum {}\n{name}_count {total}\n", figures.sum).unwrap_or_default();
    text.push_str(&lines);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metric;

    #[test]
    fn buckets_accumulate_and_end_at_the_total() {
        let metric = metric::DELIVERY_LAG;
        let counts = vec![1; metric.buckets().len() + 1];
        let mut text = String::new();
        write(&mut text, &metric, &BucketCounts { counts, sum: 4.5 });
        let total = metric.buckets().len() + 1;
        assert!(text.contains(&format!("{}_bucket{{le=\"0.0005\"}} 1\n", metric.name)), "{text}");
        assert!(text.contains(&format!("_bucket{{le=\"+Inf\"}} {total}\n")), "{text}");
        assert!(text.contains(&format!("_sum 4.5\n{}_count {total}\n", metric.name)), "{text}");
    }
}
