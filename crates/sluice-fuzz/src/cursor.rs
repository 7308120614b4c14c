//! Cursors, ids and `since`: what a client says about where it stands.

use arbitrary::{Result, Unstructured};
use sluice_wire::cursor::{Cursor, CursorError, VectorCursor, VectorNames};
use sluice_wire::{EventId, Since, Topic};

use crate::input::{self, assert_message};

/// A cursor that is read is written back as a text that reads the same and holds nothing which could end an
/// `id:` line; one that is made of positions gives them back.
pub fn cursor(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        from_a_client(text);
        since(text);
    }
    // Fewer bytes than the input needs are no case of their own.
    let _ = from_positions(&mut Unstructured::new(bytes));
}

fn from_a_client(text: &str) {
    let cursor: Cursor = match text.parse() {
        Ok(cursor) => cursor,
        Err(error) => {
            assert!(!matches!(error, CursorError::Newer { version } if version <= VectorCursor::VERSION));
            return assert_message(&error.to_string());
        }
    };
    let written = cursor.to_string();
    assert!(written.len() <= text.len() && text.len() <= Cursor::LEN_MAX);
    assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{written:?}");
    assert_eq!(written.parse(), Ok(cursor.clone()));
    let topic = Topic::parse("orders").unwrap();
    let (alone, among) = (cursor.position(&topic, 1), cursor.position(&topic, 2));
    assert!(alone <= among, "a set never goes back further than its topic");
    if let Cursor::Vector(vector) = &cursor {
        assert_eq!(written, text, "one vector has one text");
        assert!(alone.ms >= vector.floor_ms());
    }
}

fn since(text: &str) {
    match text.parse::<Since>() {
        Ok(Since::Last(count)) => assert!(count <= Since::LAST_MAX),
        Ok(Since::After(id)) => {
            assert!(id.before() <= id && id <= id.after());
            assert_eq!(id.to_string().parse::<EventId>(), Ok(id));
        }
        Ok(Since::Earliest | Since::At { .. } | Since::Ago(_)) => {}
        Err(error) => assert_message(&error.to_string()),
    }
}

fn from_positions(input: &mut Unstructured<'_>) -> Result<()> {
    let floor_ms = input::number(input)?;
    let mut set: Vec<(Topic, EventId)> = Vec::new();
    for _ in 0..input.int_in_range(0..=64)? {
        let topic = input::topic(input)?;
        if set.iter().all(|(known, _)| *known != topic) {
            set.push((topic, input::event_id(input)?));
        }
    }
    let positions: Vec<_> = set.iter().map(|(topic, id)| (topic, *id)).collect();
    let vector = VectorCursor::new(floor_ms, &positions);
    let text = vector.to_string();
    assert!(text.len() <= Cursor::LEN_MAX, "{} bytes for {} topics", text.len(), set.len());
    assert_eq!(text.parse(), Ok(Cursor::Vector(vector.clone())), "{text}");
    let floor = if floor_ms == 0 { EventId::ZERO } else { EventId::new(floor_ms, u64::MAX) };
    for (topic, position) in &set {
        assert_eq!(vector.position(topic), (*position).max(floor), "{topic} in {text}");
    }
    let names = VectorNames::new(set.iter().map(|(topic, _)| topic));
    let positions: Vec<_> = set.iter().map(|(_, id)| *id).collect();
    assert_eq!(names.cursor(floor_ms, &positions), vector);
    Ok(())
}
