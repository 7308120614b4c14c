//! Memory for what is read from logs on its way to clients: so much of it for all streams of a node.
//!
//! Who wants to read takes a grant first, and waits for it in the order of asking. Invariant: nobody who holds
//! a grant waits for another one of the same memory, or for a client that takes nothing; so every wait ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::tallies::Tallies;

/// Grants are counted in these.
const KIB: usize = 1 << 10;

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct PageMemory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    free: Semaphore,
    max: usize,
    /// What pages turned out to take when nothing was free: it is paid back before anything is free again.
    owed: AtomicUsize,
    held: AtomicUsize,
    peak: AtomicUsize,
    tallies: Tallies,
}

/// Memory for replays, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayMemory {
    /// What is granted now.
    pub held: usize,
    /// The most that was granted at once.
    pub peak: usize,
    /// What may be.
    pub max: usize,
}

impl PageMemory {
    pub(crate) fn new(bytes_max: usize, tallies: Tallies) -> Self {
        let max = in_kib(bytes_max).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            free: Semaphore::new(max),
            max,
            owed: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            tallies,
        };
        Self { shared: Arc::new(shared) }
    }

    /// How much of a page of `bytes` one stream is to ask for: where there is little, several streams share it.
    pub(crate) fn share(&self, bytes: usize) -> usize {
        bytes.min(self.shared.max * KIB / 4).max(1)
    }

    /// A grant of `bytes`, or of all there is, if that is free now.
    pub(crate) fn try_grant(&self, bytes: usize) -> Option<Grant> {
        let permit = self.shared.free.try_acquire_many(self.wanted(bytes)).ok()?;
        let granted = permit.num_permits();
        permit.forget();
        Some(self.granted(granted))
    }

    /// A grant of `bytes`, or of all there is, once that is free. To be waited for by those who hold none.
    pub(crate) async fn grant(&self, bytes: usize) -> Grant {
        if let Some(grant) = self.try_grant(bytes) {
            return grant;
        }
        let began = Instant::now();
        #[expect(clippy::expect_used, reason = "nothing closes the semaphore")]
        let permit = self.shared.free.acquire_many(self.wanted(bytes)).await.expect("it is never closed");
        self.shared.tallies.waited_for_memory(began.elapsed());
        let granted = permit.num_permits();
        permit.forget();
        self.granted(granted)
    }

    pub(crate) fn status(&self) -> ReplayMemory {
        let Shared { held, peak, max, .. } = self.shared.as_ref();
        let bytes = |kib: &AtomicUsize| kib.load(Ordering::Relaxed) * KIB;
        ReplayMemory { held: bytes(held), peak: bytes(peak), max: max * KIB }
    }

    fn wanted(&self, bytes: usize) -> u32 {
        u32::try_from(in_kib(bytes).min(self.shared.max)).unwrap_or(u32::MAX)
    }

    fn granted(&self, kib: usize) -> Grant {
        let mut grant = Grant { memory: self.clone(), kib: 0 };
        grant.holds(kib);
        grant
    }
}

/// Memory that somebody has; given back with the value.
#[derive(Debug)]
pub(crate) struct Grant {
    memory: PageMemory,
    kib: usize,
}

impl Grant {
    /// What was read takes `bytes`. It is there, so what it takes beyond the grant is not waited for: whoever asks
    /// next waits for it.
    pub(crate) fn cover(&mut self, bytes: usize) {
        let more = in_kib(bytes).saturating_sub(self.kib);
        let free = self.memory.shared.free.forget_permits(more);
        self.memory.shared.owed.fetch_add(more - free, Ordering::Relaxed);
        self.holds(more);
    }

    /// As [`Self::cover`]; what of the grant is not needed is given back.
    pub(crate) fn fit(&mut self, bytes: usize) {
        self.cover(bytes);
        let spare = self.kib - in_kib(bytes);
        self.kib -= spare;
        drop(Self { memory: self.memory.clone(), kib: spare });
    }

    fn holds(&mut self, more: usize) {
        self.kib += more;
        let held = self.memory.shared.held.fetch_add(more, Ordering::Relaxed) + more;
        self.memory.shared.peak.fetch_max(held, Ordering::Relaxed);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let Shared { free, owed, held, .. } = self.memory.shared.as_ref();
        held.fetch_sub(self.kib, Ordering::Relaxed);
        let pay = |owed: usize| Some(owed - owed.min(self.kib));
        let before = owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).unwrap_or(0);
        free.add_permits(self.kib - before.min(self.kib));
    }
}

/// At least one: nothing is granted for nothing.
fn in_kib(bytes: usize) -> usize {
    bytes.div_ceil(KIB).max(1)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn memory(kib: usize) -> PageMemory {
        PageMemory::new(kib * KIB, Tallies::register())
    }

    #[test]
    fn grants_are_given_in_the_order_of_asking() {
        let memory = memory(4);
        let first = memory.try_grant(3 * KIB).unwrap();
        let (mut large, mut small) = (Box::pin(memory.grant(4 * KIB)), Box::pin(memory.grant(KIB)));
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none(), "what is free is kept for who asked before");
        assert!(memory.try_grant(1).is_none(), "nor is it taken by who asks later");
        drop(first);
        assert!((&mut small).now_or_never().is_none());
        drop((&mut large).now_or_never().expect("its turn"));
        assert!(small.now_or_never().is_some());
    }

    #[test]
    fn a_page_larger_than_all_there_is_can_be_read_alone() {
        let memory = memory(4);
        let mut grant = memory.grant(usize::MAX).now_or_never().expect("everything is free");
        grant.cover(10 * KIB);
        assert_eq!(memory.status(), ReplayMemory { held: 10 * KIB, peak: 10 * KIB, max: 4 * KIB });
        drop(grant);
        assert_eq!(memory.status().held, 0);
        let mut grant = memory.try_grant(4 * KIB).expect("all of it is free again");
        grant.fit(KIB);
        assert_eq!(memory.status().held, KIB);
        assert!(memory.try_grant(3 * KIB).is_some(), "what was not needed");
    }

    #[test]
    fn what_pages_took_beyond_their_grants_is_paid_back_first() {
        let memory = memory(4);
        let (mut first, second) = (memory.try_grant(KIB).unwrap(), memory.try_grant(KIB).unwrap());
        first.cover(6 * KIB);
        assert!(memory.try_grant(1).is_none());
        drop(second);
        assert!(memory.try_grant(1).is_none(), "three are owed");
        drop(first);
        assert!(memory.try_grant(4 * KIB).is_some());
    }

    #[test]
    fn who_gives_up_waiting_gets_nothing() {
        let memory = memory(2);
        let held = memory.try_grant(2 * KIB).unwrap();
        let mut waiting = Box::pin(memory.grant(2 * KIB));
        assert!((&mut waiting).now_or_never().is_none());
        drop(held);
        drop(waiting);
        assert!(memory.try_grant(2 * KIB).is_some());
        assert_eq!(memory.status().held, 0);
    }
}
