//! What runs always: a few sequences of a fixed seed.

use std::time::Duration;

use super::soak_with;

/// Long enough for a machine that runs all tests at once; the soak on an idle one is stricter.
const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_spins_after_foreign_commands() {
    let soak = soak_with(12).sequences(0..8).arrives_within(ARRIVES_WITHIN);
    let report = soak.run(|line| println!("{line}")).await.unwrap();
    report.verdict().unwrap();
}
