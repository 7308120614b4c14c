//! Histograms in fixed buckets of atomics: counting costs two additions, reading them costs the counters
//! nothing, and no sample is kept.

use std::sync::atomic::{AtomicU64, Ordering};

/// A histogram over whole numbers (of microseconds, of streams).
#[derive(Debug)]
pub struct Buckets {
    bounds: &'static [u64],
    /// One a bound, and one for what is above the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Buckets {
    /// An empty histogram; `bounds` are the greatest values of its buckets, ascending.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted(), "bounds ascend");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a sample.
    pub fn record(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Samples of each bucket, not accumulated, the last one without a bound, and the sum of all samples.
    #[must_use]
    pub fn read(&self) -> (Vec<u64>, u64) {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        (counts, self.sum.load(Ordering::Relaxed))
    }

    /// Adds what [`Buckets::read`] gives to `counts` and `sum`.
    pub fn add_to(&self, counts: &mut Vec<u64>, sum: &mut u64) {
        let (own, own_sum) = self.read();
        counts.resize(own.len().max(counts.len()), 0);
        counts.iter_mut().zip(own).for_each(|(total, own)| *total += own);
        *sum += own_sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_lost_above_the_last() {
        let buckets = Buckets::new(&[10, 100]);
        [0, 10, 11, 100, 101, 5_000].into_iter().for_each(|value| buckets.record(value));
        assert_eq!(buckets.read(), (vec![2, 2, 2], 5_222));
        let (mut counts, mut sum) = (Vec::new(), 0);
        buckets.add_to(&mut counts, &mut sum);
        buckets.add_to(&mut counts, &mut sum);
        assert_eq!((counts, sum), (vec![4, 4, 4], 10_444));
    }
}
