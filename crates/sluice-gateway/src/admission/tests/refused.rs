//! Those who are turned away: they are told to wait so long that a crowd of them is no burden, take nothing from others,
//! and are forgotten.

use std::sync::atomic::AtomicU64;
use std::thread;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use super::*;

fn one_each() -> Admission {
    let limits = Limits { streams_per_subject_max: 1, ..Limits::default() };
    Admission::new(&limits, Pressure::default(), Tallies::register(), Instant::now())
}

fn client(subject: u8) -> Client {
    Client { host: 1, subject: Some(subject), token: 0, topics: vec![1] }
}

fn wait_s(admission: &Admission, now: Instant) -> u64 {
    client(1).apply(admission, now).unwrap_err().wait.unwrap().as_secs()
}

/// Seven tabs where six are allowed wait ten seconds each; a thousand knock once a second, all together.
#[test]
fn whoever_has_enough_waits_longer_the_more_of_them_try() {
    let (now, admission) = (Instant::now(), one_each());
    let _place = client(1).apply(&admission, now).unwrap();
    let waits: Vec<u64> = (0..1_000).map(|_| wait_s(&admission, now)).collect();
    assert!(waits[..10].iter().all(|wait| *wait == 10));
    assert!(waits.is_sorted() && waits[100] == 100 && waits[999] == 300);
    let later = now + Duration::from_secs(300);
    assert_eq!(wait_s(&admission, later), 10, "who comes when told is at once in turn again");
}

/// One of the crowd gets the place that was free for a moment. The others are where they were.
#[test]
fn a_place_that_is_free_for_a_moment_does_not_call_the_crowd() {
    let (now, admission) = (Instant::now(), one_each());
    let place = client(1).apply(&admission, now).unwrap();
    for _ in 0..200 {
        wait_s(&admission, now);
    }
    drop(place);
    let _place = client(1).apply(&admission, now).unwrap();
    assert_eq!(wait_s(&admission, now), 200);
    assert_eq!(wait_s(&admission, now + Duration::from_secs(201)), 10);
}

#[test]
fn names_whose_turns_are_past_are_forgotten() {
    let (mut now, admission) = (Instant::now(), one_each());
    for round in 0..1_000_u64 {
        now += Duration::from_secs(1);
        let subject = Some(format!("s{round}").into());
        let identity = Identity { subject, ..nobody() };
        let applicant = Applicant { identity: Some(&identity), ..Applicant::default() };
        let _place = admit(&admission, now, &applicant).unwrap();
        admit(&admission, now, &applicant).unwrap_err();
    }
    let turned_away = admission.gate.book().turned_away();
    assert!(turned_away <= 64, "{turned_away} names");
}

/// A crowd that is turned away for itself leaves the last place of the node to others.
#[test]
fn who_has_enough_takes_no_place_for_a_moment() {
    let now = Instant::now();
    let limits = Limits { streams_max: 2, streams_per_subject_max: 1, ..Limits::default() };
    let limits = Limits { accept_per_second: u32::MAX, accept_burst: u32::MAX, ..limits };
    let admission = Admission::new(&limits, Pressure::default(), Tallies::register(), now);
    let _place = client(1).apply(&admission, now).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(client(1).apply(&admission, now).is_err());
            }
        });
        let refused = (0..50_000).find_map(|_| client(2).apply(&admission, now).err());
        over.store(true, Ordering::Relaxed);
        assert_eq!(refused, None);
    });
}

/// Counters by name, of which each thread may have its own.
#[derive(Default)]
struct Counts(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Counts {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl metrics::Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.0.lock().unwrap().entry(key.name().to_owned()).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn who_loses_the_race_for_the_last_topic_was_never_open() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let admission = admission(1, 9, 9, Instant::now());
        let refused = admission.admit(Instant::now(), &Applicant::default(), || Err(Refusal::Topics));
        assert_eq!(refused.unwrap_err().why, Refusal::Topics);
        assert_eq!(admission.open(), 0);
        drop(admit(&admission, Instant::now(), &Applicant::default()).unwrap());
    });
    let counted = ["admission_refused", "streams_opened", "streams_closed"]
        .map(|name| counts.of(&format!("sluice_{name}_total")));
    assert_eq!(counted, [1, 1, 1]);
}

/// Whoever is let in while a drain begins is in its count.
#[test]
fn a_drain_that_begins_during_an_admission() {
    let now = Instant::now();
    for _ in 0..500 {
        let (admission, ready) = (admission(9, 9, 9, now), AtomicBool::new(false));
        let (open, admitted) = thread::scope(|scope| {
            let admitting = scope.spawn(|| {
                ready.store(true, Ordering::Release);
                client(1).apply(&admission, now)
            });
            while !ready.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            admission.drain();
            (admission.open(), admitting.join().unwrap())
        });
        assert!(open == 1 || admitted.is_err(), "the drain would not have waited for it");
    }
}
