//! Rates, of one thing or by name: so much a second, and so much at once after a quiet time. A bucket is one number, the moment at
//! which it will be full again, and time is a parameter.
//!
//! Source: the generic cell rate algorithm, ITU-T I.371, annex A, as virtual scheduling.
//!
//! A table holds a bounded number of buckets. One that is full again says nothing that a new one does not, and is
//! forgotten when there is no more room; names for which there is none then share one bucket.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::{Duration, Instant};

/// So much a second, and so much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How much in a second; at least 1.
    pub per_second: u32,
    /// How much at once after a quiet time; at least 1.
    pub burst: u32,
}

/// Between two looks for buckets that are full again.
const SWEEP_NS: u64 = 100_000_000;
/// The bucket of names for which there was no room.
const OTHERS: u64 = 0;

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    pieces: Pieces,
    full_at: u64,
}

/// Buckets by name; see the module.
#[derive(Debug)]
pub struct Rates {
    pieces: Pieces,
    /// When the bucket of a name will be full, by the hash of the name, in nanoseconds since the beginning. The
    /// hash is keyed: nobody who chooses names can make two of them meet.
    full_at: HashMap<u64, u64>,
    hasher: RandomState,
    names_max: usize,
    swept_ns: u64,
}

/// The arithmetic of a bucket whose one number is when it will be full again, in nanoseconds since the beginning.
#[derive(Debug)]
struct Pieces {
    /// What one piece costs. Nanoseconds.
    piece_ns: u64,
    /// What a bucket holds. Nanoseconds.
    bucket_ns: u64,
    began: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { pieces: Pieces::new(rate, now), full_at: 0 }
    }

    /// Takes one piece, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let now_ns = self.pieces.since_ns(now);
        let has_one = self.pieces.wait(self.full_at, now_ns).is_none();
        if has_one {
            self.full_at = self.pieces.taken(self.full_at, now_ns);
        }
        has_one
    }
}

impl Rates {
    /// Full buckets for all names, at most `names_max` of them apart.
    #[must_use]
    pub fn new(rate: Rate, names_max: usize, now: Instant) -> Self {
        let (pieces, hasher) = (Pieces::new(rate, now), RandomState::new());
        Self { pieces, full_at: HashMap::new(), hasher, names_max, swept_ns: 0 }
    }

    /// Whether `name` may have one more piece now; else in how long.
    pub fn look<N: Hash>(&mut self, name: &N, now: Instant) -> Result<(), Duration> {
        let now_ns = self.pieces.since_ns(now);
        self.make_room(now_ns);
        let full_at = self.full_at.get(&self.bucket_of(name)).copied().unwrap_or(0);
        self.pieces.wait(full_at, now_ns).map_or(Ok(()), Err)
    }

    /// Takes one piece of `name`: how long until it is the turn of this one, each having to wait for all before it; or,
    /// when the bucket is empty, in how long it has a piece again.
    pub fn turn<N: Hash>(&mut self, name: &N, now: Instant) -> Result<Duration, Duration> {
        self.look(name, now)?;
        self.take(name, now);
        let now_ns = self.pieces.since_ns(now);
        let full_at = self.full_at.get(&self.bucket_of(name)).copied().unwrap_or(now_ns);
        Ok(Duration::from_nanos(full_at.saturating_sub(now_ns)))
    }

    /// Takes one piece of `name`, after [`Rates::look`].
    pub fn take<N: Hash>(&mut self, name: &N, now: Instant) {
        let now_ns = self.pieces.since_ns(now);
        let bucket = self.bucket_of(name);
        let full_at = self.full_at.entry(bucket).or_insert(0);
        *full_at = self.pieces.taken(*full_at, now_ns);
    }

    /// Buckets that are not full, and some that are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    /// The bucket of a name that has one, or could have one; else that of all others.
    fn bucket_of<N: Hash>(&self, name: &N) -> u64 {
        let hash = self.hasher.hash_one(name).max(OTHERS + 1);
        let has_room = self.full_at.len() < self.names_max || self.full_at.contains_key(&hash);
        if has_room { hash } else { OTHERS }
    }

    /// Forgets the buckets that are full again, now and then, when there is no room left.
    fn make_room(&mut self, now_ns: u64) {
        if self.full_at.len() >= self.names_max && now_ns >= self.swept_ns + SWEEP_NS {
            self.swept_ns = now_ns;
            self.full_at.retain(|_, full_at| *full_at > now_ns);
        }
    }
}

impl Pieces {
    fn new(rate: Rate, began: Instant) -> Self {
        let piece_ns = 1_000_000_000_u64.div_ceil(u64::from(rate.per_second.max(1)));
        let bucket_ns = piece_ns.saturating_mul(u64::from(rate.burst.max(1)));
        Self { piece_ns, bucket_ns, began }
    }

    /// In how long a bucket has a piece; `None` when it has one.
    fn wait(&self, full_at: u64, now_ns: u64) -> Option<Duration> {
        let wait_ns = self.taken(full_at, now_ns).checked_sub(now_ns + self.bucket_ns)?;
        (wait_ns > 0).then(|| Duration::from_nanos(wait_ns))
    }

    /// When a bucket will be full again if a piece of it is taken now.
    fn taken(&self, full_at: u64, now_ns: u64) -> u64 {
        full_at.max(now_ns) + self.piece_ns
    }

    fn since_ns(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    fn take(rates: &mut Rates, name: &str, now: Instant) -> Result<(), Duration> {
        rates.look(&name, now).map(|()| rates.take(&name, now))
    }

    proptest! {
        /// Against a bucket of whole pieces kept in exact arithmetic.
        #[test]
        fn a_bucket_gives_its_burst_and_its_rate_and_nothing_more(
            per_second in prop::sample::select(vec![1_u32, 2, 4, 5, 8, 10, 100, 1_000]),
            burst in 1..20_u32,
            steps in prop::collection::vec((0..400_u64, 1..6_u32), 1..200),
        ) {
            let began = Instant::now();
            let mut rates = Rates::new(Rate { per_second, burst }, 10, began);
            // In thousandths of a piece, of which a millisecond brings `per_second`.
            let (mut level, mut at_ms) = (u64::from(burst) * 1_000, 0);
            for (passed_ms, pieces) in steps {
                at_ms += passed_ms;
                level = (level + passed_ms * u64::from(per_second)).min(u64::from(burst) * 1_000);
                let now = began + Duration::from_millis(at_ms);
                for _ in 0..pieces {
                    match take(&mut rates, "a", now) {
                        Ok(()) => {
                            prop_assert!(level >= 1_000, "{level} thousandths are no piece");
                            level -= 1_000;
                        }
                        Err(wait) => {
                            prop_assert!(level < 1_000, "{level} thousandths are a piece");
                            prop_assert!(rates.look(&"a", now + wait).is_ok(), "after {wait:?}");
                            let early = now + wait.saturating_sub(Duration::from_micros(1));
                            prop_assert!(rates.look(&"a", early).is_err(), "not before {wait:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn however_many_take_at_once_no_piece_is_given_twice() {
        let began = Instant::now();
        let rates = Arc::new(Mutex::new(Rates::new(Rate { per_second: 10, burst: 100 }, 10, began)));
        let taking = |round: u64| {
            let rates = rates.clone();
            let now = began + Duration::from_secs(5 * round);
            move || (0..1_000).filter(|_| take(&mut rates.lock().unwrap(), "a", now).is_ok()).count()
        };
        for (round, expected) in [(0, 100), (1, 50), (2, 50), (100, 100)] {
            let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(taking(round))).collect();
            let taken: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(taken, expected, "round {round}");
        }
    }

    #[test]
    fn names_are_apart_until_there_is_no_room_and_full_buckets_make_room() {
        let began = Instant::now();
        let mut rates = Rates::new(Rate { per_second: 1, burst: 1 }, 100, began);
        let names: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
        names.iter().for_each(|name| take(&mut rates, name, began).unwrap());
        assert!(take(&mut rates, &names[7], began).is_err());
        // One of those that share a bucket is served, the others are not, and the table does not grow.
        let served = (0..1_000).filter(|n| take(&mut rates, &format!("late{n}"), began).is_ok()).count();
        assert_eq!((served, rates.len()), (1, 101));
        let later = began + Duration::from_secs(2);
        assert!(take(&mut rates, "new", later).is_ok());
        assert_eq!(rates.len(), 1, "all others were full again");
    }
}
