//! Continuity of whole nodes while others write to the logs whatever Redis takes: entries that no client can be given,
//! ids of the past and of the far future, deletions, logs that go and come back, forged announcements. All of it on a
//! virtual clock, beside lost, doubled and late announcements.
//!
//! The judge: a client never loses, repeats or reorders an event without being told. In the end every log takes a last
//! event, which reaches everybody, and nobody reads logs any more.

mod client;
mod op;
mod world;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use self::op::{Op, Setting};
use self::world::run;

/// Far longer than a history takes on a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

fn histories(topics: usize) {
    let mut config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 2_000, ..Default::default() };
    if config.rng_seed == RngSeed::Random {
        // The same ones in every run. `make histories` plays others.
        config.rng_seed = RngSeed::Fixed(2);
    }
    let (alive, watched) = mpsc::channel();
    let watchdog = thread::spawn(move || watch(&watched));
    let any = (Setting::any(), prop::collection::vec(Op::any(topics), 1..100));
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&any, |(setting, ops)| {
        alive.send(format!("{setting:?}\n{ops:?}")).unwrap();
        run(&setting, &ops).map_err(TestCaseError::fail)
    });
    drop(alive);
    watchdog.join().unwrap();
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Ends the process at a history that has no end: a loop that waits for nothing keeps its thread, and the clock of the
/// test stands still.
fn watch(histories: &mpsc::Receiver<String>) {
    let mut latest = String::new();
    loop {
        match histories.recv_timeout(ENDS_WITHIN) {
            Ok(history) => latest = history,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                eprintln!("this history has no end, something spins:\n{latest}");
                std::process::exit(101);
            }
        }
    }
}

#[test]
#[ignore = "fails until the faults that it shows are fixed"]
fn one_topic_is_never_silently_wrong_whatever_is_written_to_its_log() {
    histories(1);
}

#[test]
#[ignore = "fails until the faults that it shows are fixed"]
fn several_topics_are_never_silently_wrong_whatever_is_written_to_their_logs() {
    histories(3);
}
