//! Values to try the properties on. Where a format gives a character a meaning, that character is frequent.

use proptest::collection::vec;
use proptest::prelude::*;
use sluice_wire::cursor::{Cursor, VectorCursor};
use sluice_wire::{Event, EventId, EventType, Topic};

/// Text made of what event streams and envelopes give a meaning, and of everything that looks like it.
pub(crate) fn data() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\r\n".to_owned()),
        prop::sample::select(vec![
            "",
            " ",
            ":",
            "\0",
            "\u{feff}",
            "\u{2028}",
            "\u{2029}",
            "\u{85}",
            "\u{b}",
            "\u{c}",
            "\u{1}",
            "%",
            "%0A",
            "data:",
            "data: x",
            "id: 1-1",
            "id",
            "event: y",
            "retry: 1",
            ": z",
            "0\r\n\r\n",
            "é",
            "\u{10ffff}",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[ -~]{0,40}",
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

pub(crate) fn event_id() -> impl Strategy<Value = EventId> {
    let number = || prop_oneof![0..4_u64, 1_700_000_000_000..1_800_000_000_000_u64, any::<u64>()];
    (number(), number()).prop_map(|(ms, seq)| EventId::new(ms, seq))
}

pub(crate) fn event_type() -> impl Strategy<Value = EventType> {
    let odd = data().prop_map(|text| text.replace(char::is_control, ""));
    prop_oneof!["[a-z.]{1,20}", Just("message".to_owned()), odd]
        .prop_filter_map("not a type", |text| EventType::parse(text).ok())
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let optional = prop::option::of::<BoxedStrategy<String>>;
    let traceparent = optional(prop_oneof!["00-[0-9a-f]{32}-[0-9a-f]{16}-01", data()].boxed());
    (event_id(), prop::option::of(event_id()), prop::option::of(event_type()), data(), traceparent).prop_map(
        |(id, prev, event_type, data, traceparent)| Event {
            id,
            prev,
            event_type,
            data: data.into(),
            traceparent: traceparent.map(Into::into),
        },
    )
}

pub(crate) fn topic() -> impl Strategy<Value = Topic> {
    // The second form makes sets that share names, the third has two names with one short hash.
    prop_oneof![
        "[A-Za-z0-9._~:@/-]{1,40}",
        "[ab]/[0-9]",
        Just("room/mxzadh".into()),
        Just("room/uoyxlg".into())
    ]
    .prop_filter_map("not a topic", |name: String| Topic::parse(&name).ok())
}

pub(crate) fn floor_ms() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1_700_000_000_000..1_700_000_100_000_u64, any::<u64>()]
}

/// The positions of a set of different topics.
pub(crate) fn positions() -> impl Strategy<Value = Vec<(Topic, EventId)>> {
    prop::collection::hash_map(topic(), event_id(), 0..64).prop_map(|set| set.into_iter().collect())
}

pub(crate) fn vector(floor_ms: u64, positions: &[(Topic, EventId)]) -> VectorCursor {
    let positions: Vec<_> = positions.iter().map(|(topic, id)| (topic, *id)).collect();
    VectorCursor::new(floor_ms, &positions)
}

pub(crate) fn cursor() -> impl Strategy<Value = Cursor> {
    prop_oneof![
        (event_id(), prop::option::of(floor_ms()))
            .prop_map(|(last, floor_ms)| Cursor::Plain { last, floor_ms }),
        (floor_ms(), positions())
            .prop_map(|(floor_ms, positions)| Cursor::Vector(vector(floor_ms, &positions))),
    ]
}
