//! Faults at random for as long as is wanted: `make chaos`.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluice_testkit::Topology;

use super::{experiment, hold};

/// `SLUICE_CHAOS_SEED` replays a run, `SLUICE_CHAOS_SECONDS` is how long each topology is beset, and
/// `SLUICE_CHAOS_TOPOLOGY` leaves out the others. What is empty is not set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as one likes: make chaos"]
async fn faults_at_random() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = variable("SLUICE_CHAOS_SEED").unwrap_or(now.as_secs());
    let within = Duration::from_secs(variable("SLUICE_CHAOS_SECONDS").unwrap_or(60));
    let only = std::env::var("SLUICE_CHAOS_TOPOLOGY").unwrap_or_default();
    for topology in Topology::ALL {
        if topology.to_string().contains(&only) {
            println!("{topology} for {within:?}; again with SEED={seed}");
            hold(experiment(seed, topology).chaos(within)).await;
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .map(|value| value.parse().ok().unwrap_or_else(|| panic!("{name}={value}")))
}
