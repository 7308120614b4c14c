//! Loads that go well.

use crate::tool::{run, scenario};

const PLAIN: &str = "{ name = 'g', count = 40, topics = ['all'] }";

#[test]
fn every_stream_receives_every_event_once() {
    for target in ["floor", "floor-passes"] {
        let outcome = run(&scenario("", PLAIN, 50), target, None);
        assert!(outcome.passed, "{}", outcome.table);
        let published = outcome.figure("published");
        assert!((50..=51).contains(&published), "{published} published");
        assert_eq!(outcome.figure("deliveries"), published * 40);
        assert_eq!(outcome.figure("latency/g/count"), published * 40);
        assert!(outcome.table.contains("continuity holds"));
    }
}

#[test]
fn streams_that_resume_receive_what_they_missed() {
    let resuming = "{ name = 'g', count = 30, topics = ['all'], opens = 'during', resume_back = 7 }";
    let outcome = run(&scenario("{ topic = 'all', events = 20 }", resuming, 20), "floor", None);
    assert!(outcome.passed, "{}", outcome.table);
    assert_eq!(outcome.figure("deliveries"), (outcome.figure("published") + 7) * 30);
}

#[test]
fn streams_that_churn_lose_nothing() {
    let churning = "{ name = 'g', count = 30, topics = ['all'], churn_per_second = 60 }";
    let outcome = run(&scenario("", churning, 100), "floor", None);
    assert!(outcome.passed, "{}", outcome.table);
    // Of 60: a machine that is busy manages fewer in the second.
    assert!(outcome.figure("streams/reopened") >= 20);
    assert_eq!(outcome.figure("deliveries"), outcome.figure("published") * 30);
}

#[test]
fn slow_readers_are_not_waited_for() {
    let among = "{ name = 'g', count = 10, topics = ['all'] }, \
                 { name = 'slow', count = 5, topics = ['all'], read_bytes_per_second = 1 }";
    let outcome = run(&scenario("", among, 50), "floor", None);
    assert!(outcome.passed, "{}", outcome.table);
    assert_eq!(outcome.figure("deliveries"), outcome.figure("published") * 10);
}

#[test]
fn several_generators_make_one_run() {
    let text = scenario("", PLAIN, 20).replace("[[parts]]", "generators = 3\n[[parts]]");
    let outcome = run(&text, "floor", None);
    assert!(outcome.passed, "{}", outcome.table);
    assert_eq!(outcome.figure("deliveries"), outcome.figure("published") * 40);
}
