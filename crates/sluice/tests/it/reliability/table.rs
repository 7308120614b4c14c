//! The whole table, one experiment a row: `make reliability`.

use std::time::Instant;

use sluice_testkit::{Fault, Outcome, Topology};

use super::experiment;

const SEED: u64 = 4;

/// `SLUICE_RELIABILITY_ONLY=Sentinel` leaves out the other topologies; part of a fault's name other faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes many minutes: make reliability"]
async fn every_fault_in_every_topology() {
    let only = std::env::var("SLUICE_RELIABILITY_ONLY").unwrap_or_default();
    let mut failures = Vec::new();
    let began = Instant::now();
    println!("{}", Outcome::HEADING);
    for topology in Topology::ALL {
        for fault in Fault::all_of(topology) {
            let row = format!("{topology}: {fault}");
            if !row.contains(&only) {
                continue;
            }
            match experiment(SEED, topology).fault(fault).run().await {
                Ok(outcome) => {
                    println!("{outcome}");
                    failures.extend(outcome.verdict().err().map(|error| format!("{row}: {error:#}")));
                }
                Err(error) => failures.push(format!("{row}: {error:#}")),
            }
        }
    }
    println!("\nseed {SEED}, {:.0} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} failed:\n\n{}", failures.len(), failures.join("\n\n"));
}
