//! Cursors survive being written, sent back and read for another set of topics.

use proptest::prelude::*;
use sluice_wire::cursor::{Cursor, VectorNames};
use sluice_wire::{EventId, Topic};

use crate::any;

fn at_floor(floor_ms: u64) -> EventId {
    if floor_ms == 0 { EventId::ZERO } else { EventId::new(floor_ms, u64::MAX) }
}

proptest! {
    #[test]
    fn reads_what_it_writes(cursor in any::cursor()) {
        let text = cursor.to_string();
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{}", text);
        prop_assert!(text.len() <= Cursor::LEN_MAX);
        prop_assert_eq!(text.parse(), Ok(cursor));
    }

    #[test]
    fn the_cursor_of_every_allowed_set_reads_back(
        floor_ms in any::floor_ms(),
        ids in prop::collection::vec(any::event_id(), 1..=Cursor::TOPICS_MAX),
    ) {
        let topic = |n| Topic::parse(&format!("user/{n}")).unwrap();
        let positions: Vec<_> = ids.into_iter().zip(0..).map(|(id, n)| (topic(n), id)).collect();
        let vector = any::vector(floor_ms, &positions);
        let text = vector.to_string();
        prop_assert!(text.len() <= Cursor::len_max(positions.len()), "{} bytes", text.len());
        prop_assert_eq!(text.parse(), Ok(Cursor::Vector(vector)));
    }

    #[test]
    fn a_position_is_kept_or_covered_by_the_floor(floor_ms in any::floor_ms(), positions in any::positions()) {
        let vector = any::vector(floor_ms, &positions);
        for (topic, position) in &positions {
            prop_assert_eq!(vector.position(topic), (*position).max(at_floor(floor_ms)), "{}", topic);
        }
    }

    #[test]
    fn names_worked_out_before_write_the_same(floor_ms in any::floor_ms(), positions in any::positions()) {
        let names = VectorNames::new(positions.iter().map(|(topic, _)| topic));
        let ids: Vec<_> = positions.iter().map(|(_, id)| *id).collect();
        prop_assert_eq!(names.text(floor_ms, &ids).to_string(), any::vector(floor_ms, &positions).to_string());
        prop_assert_eq!(names.cursor(floor_ms, &ids), any::vector(floor_ms, &positions));
    }

    #[test]
    fn the_order_of_the_set_does_not_matter(
        floor_ms in any::floor_ms(),
        (positions, shuffled) in any::positions().prop_flat_map(|set| (Just(set.clone()), Just(set).prop_shuffle())),
    ) {
        let (one, other) = (any::vector(floor_ms, &positions), any::vector(floor_ms, &shuffled));
        prop_assert_eq!(one.to_string(), other.to_string());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_larger_set_changes_no_position_of_a_smaller(
        floor_ms in any::floor_ms(),
        positions in any::positions(),
        kept in any::<prop::sample::Index>(),
    ) {
        let (subset, added) = positions.split_at(kept.index(positions.len() + 1));
        let (small, large) = (any::vector(floor_ms, subset), any::vector(floor_ms, &positions));
        for (topic, _) in subset {
            prop_assert_eq!(small.position(topic), large.position(topic));
        }
        // A topic new to the set starts at the cursor's moment, unless it has the short name of one listed.
        for (topic, _) in added.iter().filter(|(topic, _)| !topic.as_str().starts_with("room/")) {
            prop_assert_eq!(small.position(topic), at_floor(floor_ms));
        }
    }

    #[test]
    fn one_value_has_one_text(text in "v1\\.[0-3]{1,2}(\\.[0-1a]{6}[0-2](-[0-2])?|~[0-1a]{11}[0-2](-[0-2])?){0,3}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }
}
