//! The rule of the books.

use super::*;

struct Scene {
    books: Books,
    client: ClientBook,
}

fn scene() -> Scene {
    let books = Books::default();
    let client = books.client("reader", &["t".to_owned()]);
    client.opened();
    Scene { books, client }
}

impl Scene {
    fn event(&self, ms: u64) -> String {
        let (number, payload) = self.books.write("t", Duty::Deliver);
        self.books.acknowledge("t", number, EventId::at(ms));
        payload
    }

    fn told(&self, reason: &str, from: u64, to: u64) {
        let gap = Told { from: EventId::at(from), to: EventId::at(to), reason: reason.to_owned() };
        self.client.told(Some("t"), &gap);
    }

    fn faults(&self, kept: &[u64]) -> Vec<String> {
        let kept = kept.iter().map(|ms| EventId::at(*ms)).collect();
        self.books.close(&HashMap::from([("t".to_owned(), kept)])).faults
    }
}

#[test]
fn what_arrives_once_and_in_order_is_right() {
    let scene = scene();
    for ms in [1, 2, 3] {
        assert!(scene.client.given(&scene.event(ms)));
    }
    assert_eq!(scene.faults(&[1, 2, 3]), [""; 0]);
}

#[test]
fn a_silent_loss_is_a_fault_and_a_told_one_is_not() {
    for (told, faults) in [
        (None, 1),
        (Some(("trimmed", 1, 2)), 0),
        (Some(("trimmed", 0, 1)), 1),
        (Some(("rewound", 1, 0)), 0),
        (Some(("expired", 1, 1)), 0),
    ] {
        let scene = scene();
        scene.client.given(&scene.event(1));
        scene.event(2);
        if let Some((reason, from, to)) = told {
            scene.told(reason, from, to);
        }
        assert_eq!(scene.faults(&[1]).len(), faults, "{told:?}");
    }
}

#[test]
fn what_the_log_still_holds_behind_a_rewind_is_due() {
    let scene = scene();
    scene.event(2);
    scene.told("rewound", 5, 1);
    assert_eq!(scene.faults(&[2]).len(), 1);
}

#[test]
fn word_from_before_an_event_does_not_excuse_its_loss() {
    let scene = scene();
    scene.told("rewound", 5, 1);
    scene.event(6);
    assert_eq!(scene.faults(&[]).len(), 1);
}

#[test]
fn repeats_and_disorder_are_faults_unless_a_rewind_was_told() {
    for rewound in [false, true] {
        let scene = scene();
        let (first, second) = (scene.event(1), scene.event(2));
        scene.client.given(&first);
        scene.client.given(&second);
        if rewound {
            scene.told("rewound", 2, 0);
        }
        scene.client.given(&first);
        scene.client.given(&second);
        assert_eq!(scene.faults(&[1, 2]).is_empty(), rewound);
    }
}

#[test]
fn what_was_deleted_by_hand_or_written_before_the_head_is_not_due() {
    let scene = scene();
    scene.event(1);
    scene.books.remove("t", EventId::at(1));
    assert_eq!(scene.faults(&[]), [""; 0]);
    scene.event(2);
    let late = scene.books.client("late", &["t".to_owned()]);
    late.opened();
    scene.client.given("t 2");
    assert_eq!(scene.faults(&[2]), [""; 0]);
}

#[test]
fn an_entry_that_is_to_be_skipped_must_not_arrive() {
    let scene = scene();
    let (_, payload) = scene.books.write("t", Duty::Skip);
    scene.client.given(&payload);
    assert_eq!(scene.faults(&[]).len(), 1);
    assert!(!scene.client.given("plain text") && !scene.client.given("u 1"));
}
