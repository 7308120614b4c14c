//! Topics that somebody chose so that their short names in a cursor are equal: found by trying, as an attacker would.

use std::collections::HashMap;
use std::sync::LazyLock;

use sluice_wire::cursor::{Cursor, VectorCursor};
use sluice_wire::{EventId, Topic};

/// Two topics whose short names are equal. Among half a million there are two: the birthday bound of 62^6.
static PAIR: LazyLock<[Topic; 2]> = LazyLock::new(|| {
    let at = EventId::new(11, 0);
    let mut seen = HashMap::new();
    (0_u32..4_000_000)
        .find_map(|number| {
            let topic = Topic::parse(&format!("t{number}")).unwrap();
            let cursor = VectorCursor::new(10, &[(&topic, at)]).to_string();
            let before = seen.insert(cursor, number)?;
            Some([Topic::parse(&format!("t{before}")).unwrap(), topic])
        })
        .expect("a collision among four million")
});

#[test]
fn topics_that_collide_never_share_a_position() {
    let [one, other] = &*PAIR;
    let (early, late) = (EventId::new(11, 0), EventId::new(12, 7));
    assert_eq!(
        VectorCursor::new(10, &[(one, late)]).to_string(),
        VectorCursor::new(10, &[(other, late)]).to_string(),
        "alone, each has the same short name"
    );
    for (first, second) in [(early, late), (late, early), (late, EventId::ZERO)] {
        let text = VectorCursor::new(10, &[(one, first), (other, second)]).to_string();
        let cursor: Cursor = text.parse().unwrap();
        let floor = EventId::new(10, u64::MAX);
        assert_eq!(cursor.position(one, 2), first.max(floor), "{text}");
        assert_eq!(cursor.position(other, 2), second.max(floor), "{text}");
    }
}

#[test]
fn a_third_topic_keeps_its_short_name_beside_them() {
    let [one, other] = &*PAIR;
    let third = Topic::parse("third").unwrap();
    let at = EventId::new(11, 0);
    let text = VectorCursor::new(10, &[(one, at), (&third, at), (other, at)]).to_string();
    let name = VectorCursor::new(10, &[(&third, at)]).to_string();
    assert!(text.starts_with(&name), "{text} begins with {name}");
    assert_eq!(text.matches('~').count(), 2, "{text}");
}
