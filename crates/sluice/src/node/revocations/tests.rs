//! Several processes on one log that loses entries.

use sluice_access::{AccessSettings, Fetch, Names};
use sluice_broker::{BrokerSettings, BrokerUrl, MemoryBroker, RetentionPolicies};
use tokio_util::task::TaskTracker;

use super::*;

const SETTINGS: RevocationSettings =
    RevocationSettings { longest: Duration::from_secs(86_400), in_force_max: 3, trims: true };

fn log() -> Arc<MemoryBroker> {
    let retention = RetentionPolicies::uniform(sluice_broker::Retention::UNLIMITED);
    let settings = BrokerSettings { retention, ..BrokerSettings::new(BrokerUrl::memory()) };
    Arc::new(MemoryBroker::new(settings, TaskTracker::new()))
}

fn process(log: &Arc<MemoryBroker>, settings: RevocationSettings) -> Revocations {
    let nothing: Fetch = Arc::new(|_| Box::pin(async { Err(String::new()) }));
    let access = Access::new(AccessSettings::default(), &nothing).unwrap();
    Revocations::new(log.clone(), access, settings).unwrap()
}

async fn revoke(process: &Revocations, body: Value) -> Result<Value, Refused> {
    process.clone().revoke(body.to_string().into_bytes(), By::Operator).await
}

async fn entries(process: &Revocations) -> usize {
    let page = process.broker.read(&process.topic, EventId::ZERO, EventId::MAX, 10_000).await.unwrap();
    page.events.len()
}

fn refuses(process: &Revocations, subject: &str) -> bool {
    process.access.is_revoked(&Names { subject: Some(subject), ..Names::default() }, now_ms())
}

/// Looks until a process that knows of lost entries has written them again.
async fn settle(process: &Revocations, reader: &mut Reader) {
    for _ in 0..6 {
        process.look(reader).await.unwrap();
        tokio::time::advance(LOOK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_failover_took_back_is_written_again_and_what_was_lifted_stays_lifted() {
    let log = log();
    // Nothing is removed, so that the log can go back to what was lifted.
    let settings = RevocationSettings { trims: false, ..SETTINGS };
    let (writer, other) = (process(&log, settings), process(&log, settings));
    let (mut reader, mut others) = (Reader::default(), Reader::default());
    revoke(&writer, json!({"subject": "lifted", "for_s": 600})).await.unwrap();
    let kept = revoke(&writer, json!({"subject": "kept", "for_s": 600})).await.unwrap();
    let kept: EventId = kept["id"].as_str().unwrap().parse().unwrap();
    // The other process lifts what the first has made, with a clock that is no later.
    revoke(&other, json!({"subject": "lifted", "for_s": 0})).await.unwrap();
    writer.look(&mut reader).await.unwrap();
    other.look(&mut others).await.unwrap();
    assert!(!refuses(&writer, "lifted") && refuses(&other, "kept"));

    log.forget_from(kept);
    assert_eq!(entries(&writer).await, 1, "the log says that the lifted one is revoked");
    settle(&writer, &mut reader).await;
    settle(&other, &mut others).await;
    assert!(!refuses(&writer, "lifted") && !refuses(&other, "lifted"), "no process believes it");
    let written = entries(&writer).await;
    assert_eq!(written, 3, "each lost one once, since the second process finds what the first has written");
    settle(&writer, &mut reader).await;
    assert_eq!(entries(&writer).await, written, "nothing more is lost");

    let fresh = process(&log, SETTINGS);
    fresh.look(&mut Reader::default()).await.unwrap();
    assert!(refuses(&fresh, "kept") && !refuses(&fresh, "lifted"), "a process that starts reads the same");
    // Everything is lost, and a process comes that knows of nothing.
    log.forget_from(EventId::ZERO);
    settle(&fresh, &mut Reader::default()).await;
    let late = process(&log, SETTINGS);
    late.look(&mut Reader::default()).await.unwrap();
    assert!(refuses(&late, "kept"));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_removes_nothing_that_is_in_force_and_what_is_over_goes() {
    let log = log();
    let (before, mut reader) = (process(&log, SETTINGS), Reader::default());
    revoke(&before, json!({"subject": "over", "for_s": 1})).await.unwrap();
    revoke(&before, json!({"subject": "u", "for_s": 80_000})).await.unwrap();
    let lower = RevocationSettings { longest: Duration::from_secs(60), ..SETTINGS };
    let after = process(&log, lower);
    assert!(matches!(revoke(&after, json!({"subject": "v", "for_s": 61})).await, Err(Refused::Wrong(_))));
    revoke(&after, json!({"subject": "v", "for_s": 60})).await.unwrap();
    // The broker's clock and that of revocations are the machine's: wait for what was revoked for a second.
    while refuses(&after, "over") {
        tokio::task::yield_now().await;
    }
    settle(&after, &mut reader).await;
    assert_eq!(entries(&after).await, 2, "the one that is over is at the beginning, and goes");
    let fresh = process(&log, lower);
    fresh.look(&mut Reader::default()).await.unwrap();
    assert!(refuses(&fresh, "u") && refuses(&fresh, "v"));
    assert_eq!(fresh.access.revocations(now_ms(), 9).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_of_words_about_few_stays_short() {
    let log = log();
    let (process, mut reader) = (process(&log, SETTINGS), Reader::default());
    revoke(&process, json!({"subject": "first", "for_s": 80_000})).await.unwrap();
    for _ in 0..1_500 {
        revoke(&process, json!({"subject": "again", "issued_before": "now"})).await.unwrap();
    }
    for _ in 0..100 {
        process.look(&mut reader).await.unwrap();
        // As if a round were over.
        reader = Reader::default();
    }
    assert_eq!(
        entries(&process).await,
        2,
        "one entry about each, although the first stood before all others"
    );
    assert!(refuses(&process, "first") && refuses(&process, "again"));
}

#[tokio::test(start_paused = true)]
async fn as_many_as_may_be_are_in_force_and_those_can_be_changed() {
    let log = log();
    let process = process(&log, SETTINGS);
    for name in ["a", "b", "c"] {
        revoke(&process, json!({"subject": name, "for_s": 600})).await.unwrap();
    }
    let one_more = json!({"subject": "d", "for_s": 600});
    assert!(matches!(revoke(&process, one_more.clone()).await, Err(Refused::TooMany(_))));
    revoke(&process, json!({"subject": "a", "for_s": 700})).await.unwrap();
    revoke(&process, json!({"subject": "a", "for_s": 0})).await.unwrap();
    revoke(&process, one_more).await.unwrap();
    let of_a_key = json!({"subject": "key:shop", "for_s": 600}).to_string().into_bytes();
    let refused = process.clone().revoke(of_a_key, By::Application("key:login")).await;
    assert!(matches!(refused, Err(Refused::NotAllowed(_))), "{refused:?}");
}
