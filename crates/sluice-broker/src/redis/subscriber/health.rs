//! How the lines fare, for whoever asks from outside: behind a lock of its own, under which nothing is called.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::SubscriberHealth;
use crate::url::Address;

#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    health: SubscriberHealth,
    probes: HashMap<Address, Duration>,
}

impl Health {
    pub(super) fn get(&self) -> SubscriberHealth {
        let kept = self.kept();
        SubscriberHealth { probe_round_trip: kept.probes.values().max().copied(), ..kept.health }
    }

    /// A connection that had stood was lost.
    pub(super) fn lost(&self) {
        self.kept().health.reconnects += 1;
    }

    pub(super) fn stands(
        &self,
        whole: bool,
        wanted: usize,
        connected: usize,
        known: impl Fn(&Address) -> bool,
    ) {
        let mut kept = self.kept();
        kept.health.connected = whole;
        kept.health.shards_wanted = wanted;
        kept.health.shards_connected = connected;
        kept.probes.retain(|address, _| known(address));
    }

    pub(super) fn probed(&self, address: &Address, round_trip: Duration) {
        self.kept().probes.insert(address.clone(), round_trip);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}
