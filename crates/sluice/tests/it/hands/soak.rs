//! Foreign commands for as long as is wanted: `make hands`.

use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluice_testkit::Topology;

use super::soak_with;

/// `SLUICE_HANDS_SEED` plays a run again, and `SLUICE_HANDS_SEQUENCES=12..13` one sequence of it; `SLUICE_HANDS_SECONDS`
/// is how long it takes, `SLUICE_HANDS_TOPOLOGY` the shape of Redis, and `SLUICE_HANDS_FAILURES` after how many failures
/// it ends. What is empty is not set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as one likes: make hands"]
async fn foreign_commands_at_random() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = variable("SLUICE_HANDS_SEED").unwrap_or(now.as_secs());
    let within = Duration::from_secs(variable("SLUICE_HANDS_SECONDS").unwrap_or(60));
    let sequences = text("SLUICE_HANDS_SEQUENCES").map_or(0..u64::MAX, |range| parse(&range));
    let failures = variable("SLUICE_HANDS_FAILURES").unwrap_or(3);
    let only = text("SLUICE_HANDS_TOPOLOGY").unwrap_or_else(|| Topology::Standalone.to_string());
    let topology =
        Topology::ALL.into_iter().find(|topology| topology.to_string().eq_ignore_ascii_case(&only));
    let topology = topology.unwrap_or_else(|| panic!("there is no topology {only:?}"));
    println!("{topology} for {within:?}; again with SEED={seed}");
    let soak = soak_with(seed).topology(topology).sequences(sequences).within(within).failures_max(failures);
    let report = soak.run(|line| println!("{line}")).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
}

/// `12..13`
fn parse(range: &str) -> Range<u64> {
    let (from, to) =
        range.split_once("..").unwrap_or_else(|| panic!("{range:?} is not a range such as 12..13"));
    let bound = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"));
    bound(from)..bound(to)
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    text(name).map(|value| value.parse().ok().unwrap_or_else(|| panic!("{name}={value}")))
}
