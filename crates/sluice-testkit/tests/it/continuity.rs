//! The books must find what is planted in them, and nothing else.

use anyhow::Result;
use sluice_testkit::{ClientLedger, Continuity, Ledger, Publication, Start};
use sluice_wire::EventId;

/// Publishes and acknowledges so many events, in order.
fn published(ledger: &Ledger, topic: &str, count: usize) -> Vec<Publication> {
    let publish = |_| {
        let publication = ledger.publish(topic);
        ledger.acknowledge(&publication, EventId::new(1_000 + publication.number as u64, 0));
        publication
    };
    (0..count).map(publish).collect()
}

fn deliver(client: &ClientLedger, topic: &str, numbers: impl IntoIterator<Item = usize>) -> Result<()> {
    numbers.into_iter().try_for_each(|number| client.received(&format!("{topic} {number}")))
}

fn faults(report: &Continuity) -> [usize; 4] {
    [report.lost, report.repeated, report.reordered, report.foreign]
}

#[test]
fn everything_once_and_in_order_is_exact() -> Result<()> {
    let ledger = Ledger::new();
    let client = ledger.client("c", &["a", "b"], Start::Everything);
    let publications = [published(&ledger, "a", 3), published(&ledger, "b", 2)].concat();
    assert!(!ledger.complete());
    publications.iter().try_for_each(|publication| client.received(&publication.payload))?;
    assert!(ledger.complete());
    assert_eq!(client.count(), 5);
    ledger.report().assert_exact()?;
    assert_eq!(ledger.report().to_string(), "| 5 | 5 | 1 | 5 | 0 | 0 | 0 |");
    Ok(())
}

#[test]
fn finds_what_is_planted() -> Result<()> {
    let cases: [(&[usize], [usize; 4]); 7] = [
        (&[1, 2, 4, 5], [1, 0, 0, 0]),
        (&[], [5, 0, 0, 0]),
        (&[1, 2, 2, 3, 4, 5, 1], [0, 2, 0, 0]),
        (&[1, 3, 2, 4, 5], [0, 0, 1, 0]),
        (&[5, 4, 3, 2, 1], [0, 0, 4, 0]),
        (&[1, 2, 3, 4, 5, 6], [0, 0, 0, 1]),
        (&[2, 1, 1, 5, 9], [2, 1, 1, 1]),
    ];
    for (numbers, expected) in cases {
        let ledger = Ledger::new();
        let client = ledger.client("c", &["a"], Start::Everything);
        published(&ledger, "a", 5);
        deliver(&client, "a", numbers.iter().copied())?;
        let report = ledger.report();
        assert_eq!(faults(&report), expected, "{numbers:?}");
        assert!(report.assert_exact().is_err());
        assert_eq!(ledger.complete(), report.lost == 0, "{numbers:?}");
    }
    Ok(())
}

#[test]
fn names_client_topic_and_numbers() -> Result<()> {
    let ledger = Ledger::new();
    let client = ledger.client("client 7", &["a"], Start::Everything);
    published(&ledger, "a", 4);
    deliver(&client, "a", [1, 4])?;
    let error = ledger.report().assert_exact().unwrap_err().to_string();
    assert!(error.contains("client 7, topic a: 2 lost: 2, 3"), "{error}");
    Ok(())
}

#[test]
fn what_was_not_acknowledged_may_arrive_or_not() -> Result<()> {
    let ledger = Ledger::new();
    let client = ledger.client("c", &["a"], Start::Everything);
    published(&ledger, "a", 1);
    let unsure = [ledger.publish("a"), ledger.publish("a")];
    deliver(&client, "a", [1])?;
    client.received(&unsure[1].payload)?;
    let report = ledger.report();
    report.assert_exact()?;
    assert_eq!((report.published, report.acknowledged, report.delivered), (3, 1, 2));
    Ok(())
}

#[test]
fn the_order_is_that_of_the_log() -> Result<()> {
    let ledger = Ledger::new();
    let client = ledger.client("c", &["a"], Start::Everything);
    let (first, second) = (ledger.publish("a"), ledger.publish("a"));
    ledger.acknowledge(&second, EventId::new(1, 0));
    ledger.acknowledge(&first, EventId::new(1, 1));
    deliver(&client, "a", [2, 1])?;
    ledger.report().assert_exact()
}

#[test]
fn numbers_order_what_has_no_ids() -> Result<()> {
    let ledger = Ledger::new();
    let client = ledger.client("c", &["a"], Start::Everything);
    for _ in 0..3 {
        ledger.acknowledge_without_id(&ledger.publish("a"));
    }
    deliver(&client, "a", [2, 1])?;
    assert_eq!(faults(&ledger.report()), [1, 0, 1, 0]);
    Ok(())
}

#[test]
fn each_client_has_its_own_start() -> Result<()> {
    let ledger = Ledger::new();
    published(&ledger, "a", 5);
    let behind = ledger.client("behind an id", &["a"], Start::After(EventId::new(1_003, 0)));
    let late = ledger.client("late", &["a"], Start::FirstReceived);
    let idle = ledger.client("idle", &["a"], Start::FirstReceived);
    deliver(&late, "a", [5])?;
    assert_eq!(ledger.report().lost, 2);
    deliver(&behind, "a", [4, 5])?;
    ledger.report().assert_exact()?;
    published(&ledger, "a", 1);
    assert_eq!((ledger.report().lost, idle.count()), (2, 0));
    Ok(())
}

#[test]
fn foreign_payloads_and_topics_are_refused_at_once() {
    let ledger = Ledger::new();
    let client = ledger.client("c", &["a"], Start::Everything);
    for data in ["", "a", "a x", "a 0", "a -1", "b 1", "a 99999999999"] {
        assert!(client.received(data).is_err(), "{data:?}");
    }
    client.received("a 1 and more text").unwrap();
}

#[test]
fn a_test_that_delivered_nothing_has_shown_nothing() {
    assert!(Ledger::new().report().assert_exact().is_err());
}

#[test]
fn a_hundred_clients_of_ten_thousand_events() -> Result<()> {
    let ledger = Ledger::new();
    let clients: Vec<_> =
        (0..100).map(|index| ledger.client(&format!("c{index}"), &["a"], Start::Everything)).collect();
    published(&ledger, "a", 10_000);
    for client in &clients {
        deliver(client, "a", (1..=10_000).filter(|number| number % 1_000 != 0))?;
    }
    let report = ledger.report();
    assert_eq!((report.delivered, faults(&report)), (999_000, [1_000, 0, 0, 0]));
    assert_eq!(report.details.len(), 20);
    Ok(())
}

/// Five events, of which Redis keeps the first two and the last.
fn rewound(arrivals: &[usize], told_behind: Option<usize>) -> Result<Continuity> {
    let ledger = Ledger::new();
    let client = ledger.client("c", &["a"], Start::Everything);
    published(&ledger, "a", 5);
    for (index, number) in arrivals.iter().enumerate() {
        deliver(&client, "a", [*number])?;
        if told_behind == Some(index) {
            client.rewound("a")?;
        }
    }
    assert_eq!(ledger.kept("a", ["a 1", "a 2", "a 5"])?, 2);
    Ok(ledger.report())
}

#[test]
fn what_redis_lost_need_not_arrive_but_must_be_told_to_who_had_it() -> Result<()> {
    let unconcerned = rewound(&[1, 2, 5], None)?;
    unconcerned.assert_exact()?;
    assert_eq!((unconcerned.lost, unconcerned.lost_by_redis), (0, 2));

    let told = rewound(&[1, 2, 3, 1, 2, 5], Some(2))?;
    told.assert_exact()?;
    assert_eq!((told.replayed, told.untold), (2, 0));

    let untold = rewound(&[1, 2, 3, 5], None)?;
    assert_eq!(untold.untold, 1);
    assert!(untold.assert_exact().is_err());
    let told_too_soon = rewound(&[1, 2, 3, 5], Some(1))?;
    assert_eq!(told_too_soon.untold, 1);
    Ok(())
}

#[test]
fn a_rewind_excuses_nothing_else() -> Result<()> {
    let lost = rewound(&[1, 2, 3], Some(2))?;
    assert_eq!((lost.lost, lost.untold), (1, 0), "the last event survived");
    let repeated_before = rewound(&[1, 2, 2, 3, 5], Some(3))?;
    assert_eq!(repeated_before.repeated, 1);
    let repeated_behind = rewound(&[1, 2, 3, 2, 2, 5], Some(2))?;
    assert_eq!((repeated_behind.repeated, repeated_behind.replayed), (1, 1));
    let reordered_behind = rewound(&[1, 2, 3, 5, 1], Some(2))?;
    assert_eq!(faults(&reordered_behind), [0, 0, 1, 0]);
    Ok(())
}

#[test]
fn a_log_that_holds_an_event_twice_is_found() {
    let ledger = Ledger::new();
    published(&ledger, "a", 2);
    let error = ledger.kept("a", ["a 1", "a 2", "a 1"]).unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
    assert!(ledger.kept("a", ["a 3"]).is_err());
}
