//! Encoder against decoder: every event arrives as it was, alone, whatever its data.

use std::time::Duration;

use proptest::prelude::*;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::{DEFAULT_EVENT_TYPE, Decoder, Frame, Item, Received, head};
use sluice_wire::{EventId, EventType};

use crate::any;
use crate::text::{normalised, unchunked};

fn decoded(frame: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    Decoder::new().feed(frame, &mut items);
    items
}

fn received(id: &str, event_type: Option<&EventType>, data: &str) -> Item {
    received_as(id, event_type.map_or(DEFAULT_EVENT_TYPE, EventType::as_str), data)
}

fn received_as(id: &str, event_type: &str, data: &str) -> Item {
    Item::Event(Received {
        event_type: event_type.to_owned(),
        data: normalised(data),
        last_event_id: id.to_owned(),
    })
}

/// The fields of a payload by the plainest reading of the format, which owes nothing to the decoder.
fn field_names(payload: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(payload).unwrap();
    let fields = text.strip_suffix("\n\n").unwrap();
    fields.split(['\n', '\r']).map(|line| line.split(':').next().unwrap()).collect()
}

proptest! {
    #[test]
    fn an_event_arrives_as_it_was(
        id in prop::option::of(any::event_id()),
        event_type in prop::option::of(any::event_type()),
        data in any::data(),
    ) {
        let frame = Frame::event(id, event_type.as_ref(), &data);
        let payload = unchunked(frame.chunk());
        prop_assert_eq!(&payload, &frame.payload());
        let id = id.map_or_else(String::new, |id| id.to_string());
        prop_assert_eq!(decoded(&payload), [received(&id, event_type.as_ref(), &data)]);
    }

    #[test]
    fn no_data_type_or_id_makes_another_field(
        id in any::event_id(),
        event_type in any::event_type(),
        data in any::data(),
    ) {
        let frame = Frame::event(Some(id), Some(&event_type), &data);
        let mut expected = vec!["id"];
        if event_type.as_str() != DEFAULT_EVENT_TYPE {
            expected.push("event");
        }
        expected.extend(normalised(&data).split('\n').map(|_| "data"));
        let payload = frame.payload();
        prop_assert_eq!(field_names(&payload), expected);
    }

    #[test]
    fn events_behind_each_other_do_not_mix(
        events in prop::collection::vec((any::event_id(), prop::option::of(any::event_type()), any::data()), 1..6),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (id, event_type, data) in &events {
            stream.extend_from_slice(&Frame::event(Some(*id), event_type.as_ref(), data).payload());
            expected.push(received(&id.to_string(), event_type.as_ref(), data));
        }
        prop_assert_eq!(decoded(&stream), expected);
    }

    #[test]
    fn head_and_tail_are_the_event_under_another_id(
        id in prop::option::of(any::event_id()),
        event_type in prop::option::of(any::event_type()),
        data in any::data(),
        cursor in any::cursor(),
    ) {
        let frame = Frame::event(id, event_type.as_ref(), &data);
        let tail = frame.tail();
        let head = head(&cursor, tail.len());
        let payload = unchunked(&[&head.chunk()[..], &tail[..]].concat());
        prop_assert_eq!(decoded(&payload), [received(&cursor.to_string(), event_type.as_ref(), &data)]);
        prop_assert_eq!(&head.chunk()[head.payload_at()..], &head.payload()[..]);
        prop_assert_eq!(payload, [&head.payload()[..], &tail[..tail.len() - 2]].concat());
    }

    #[test]
    fn an_id_of_any_text_stays_one_field(id in any::data(), data in any::data()) {
        let frame = Frame::event(Some(EventId::ZERO), None, &data);
        let head = head(&id, frame.tail().len());
        let payload = unchunked(&[&head.chunk()[..], &frame.tail()[..]].concat());
        let one_line = id.replace(['\n', '\r', '\0'], "_");
        prop_assert_eq!(decoded(&payload), [received(&one_line, None, &data)]);
    }

    #[test]
    fn control_frames_are_what_they_say(cursor in any::cursor(), ms in any::<u32>(), data in any::data()) {
        let id = cursor.to_string();
        let retry = Duration::from_millis(ms.into());
        let opening = Frame::opening(retry, Some(&cursor));
        prop_assert_eq!(decoded(&unchunked(opening.chunk())), [Item::Retry(ms.into()), Item::Id(id.clone())]);
        let checkpoint = Frame::checkpoint(&cursor);
        prop_assert_eq!(decoded(&unchunked(checkpoint.chunk())), [Item::Id(id)]);
        let comment = Frame::comment(&data);
        let lines: Vec<_> = normalised(&data).split('\n').map(|line| Item::Comment(line.to_owned())).collect();
        prop_assert_eq!(decoded(&unchunked(comment.chunk())), lines);
        let control = Frame::control("sluice.gap", &data, Some(retry));
        let gap = received_as("", "sluice.gap", &data);
        prop_assert_eq!(decoded(&unchunked(control.chunk())), [Item::Retry(ms.into()), gap]);
    }
}

#[test]
fn an_event_of_a_megabyte_of_line_breaks_arrives() {
    for line_break in ["\r", "\n", "\r\n", "\n\r"] {
        let data = line_break.repeat(1 << 19);
        let frame = Frame::event(None, None, &data);
        assert_eq!(decoded(&unchunked(frame.chunk())), [received("", None, &data)]);
    }
}

#[test]
fn a_checkpoint_moves_the_cursor_that_an_event_without_id_keeps() {
    let cursor = Cursor::Plain { last: EventId::new(5, 1), floor_ms: Some(9) };
    let stream = [Frame::checkpoint(&cursor).payload(), Frame::event(None, None, "x").payload()].concat();
    assert_eq!(decoded(&stream), [Item::Id("5-1~9".into()), received("5-1~9", None, "x")]);
}
