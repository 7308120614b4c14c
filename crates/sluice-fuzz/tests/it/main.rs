//! The fuzz targets without a fuzzer: every input of the kept corpus, and a bounded number of mutations of it.
//! `SLUICE_FUZZ_SEED` repeats a run, `SLUICE_FUZZ_MUTATIONS` makes it longer.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod mutation;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sluice_fuzz::{TARGETS, Target};

use crate::mutation::Mutator;

/// A second or less for the slowest target.
const MUTATIONS: usize = 2_000;

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic")
}

fn check(target: &Target, input: &[u8], seed: u64) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(input))) {
        let shown = input.escape_ascii();
        panic!("{} with SLUICE_FUZZ_SEED={seed} fails on b\"{shown}\": {}", target.name, told(&*panic));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn properties_hold_for_the_corpus_and_what_is_like_it() {
    let seed = number("SLUICE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mutations =
        number("SLUICE_FUZZ_MUTATIONS").map_or(MUTATIONS, |count| usize::try_from(count).unwrap());
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        check(target, b"", seed);
        corpus.iter().for_each(|input| check(target, input, seed));
        let mut mutator = Mutator::new(seed, &corpus);
        for _ in 0..mutations {
            check(target, &mutator.next(), seed);
        }
    }
}

/// A target that the fuzzer runs and this test does not, or the other way round, is forgotten by somebody.
#[test]
fn the_fuzzer_has_the_same_targets() {
    let manifest = include_str!("../../../../fuzz/Cargo.toml");
    let bins = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""));
    assert_eq!(bins.collect::<Vec<_>>(), TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
}
