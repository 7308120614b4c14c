//! Every fault under load, and the count of what became of each event: one row of docs/reliability.md a test.
//!
//! A slice with fixed seeds runs always. The whole table (`make reliability`) and faults at random (`make chaos`) take
//! minutes and are asked for.

mod chaos;
mod slice;
mod table;

use sluice_testkit::{Experiment, Outcome, Topology};

use crate::stage::SLUICE;

fn experiment(seed: u64, topology: Topology) -> Experiment {
    Experiment::new(SLUICE, seed).topology(topology)
}

/// Does the experiment, prints its row and holds it against what was promised.
#[expect(clippy::print_stdout, reason = "the row of the table is what a reader of the run looks for")]
async fn hold(experiment: Experiment) {
    let outcome = experiment.run().await.unwrap();
    println!(
        "{}\n{outcome}\n{} reconnections, gaps told: {:?}",
        Outcome::HEADING,
        outcome.reconnections,
        outcome.gaps
    );
    outcome.verdict().unwrap();
}
