//! Faults that the floor plants on one stream's fifth event: the run must notice each, name it and fail.

use crate::tool::{run, scenario};

fn planted(plant: &str) -> [u64; 3] {
    let outcome =
        run(&scenario("", "{ name = 'g', count = 20, topics = ['all'] }", 30), "floor", Some(plant));
    assert!(!outcome.passed, "a run with a planted {plant} must fail");
    assert!(outcome.table.contains("CONTINUITY IS BROKEN"));
    ["lost", "repeated", "reordered"].map(|kind| outcome.figure(&format!("continuity/{kind}")))
}

#[test]
fn a_planted_loss_fails_the_run() {
    assert_eq!(planted("loss"), [1, 0, 0]);
}

#[test]
fn a_planted_repeat_fails_the_run() {
    assert_eq!(planted("repeat"), [0, 1, 0]);
}

#[test]
fn a_planted_reorder_fails_the_run() {
    assert_eq!(planted("reorder"), [0, 0, 1]);
}
