//! Messages of Redis channels, to which anybody who may publish there writes.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use sluice_wire::Event;
use sluice_wire::envelope::{HEADER_LEN_MAX, LiveMessage, encode, parse};

use crate::input::{self, assert_message};

/// An event arrives as it was, plain text stays plain, and no value leaves its field.
pub fn envelope(bytes: &[u8]) {
    match parse(Bytes::copy_from_slice(bytes)) {
        Ok(LiveMessage::Event(event)) => {
            let own = encode(&event);
            let header = own.iter().position(|byte| *byte == b'\n').unwrap();
            // What nobody had to encode may stand there, and is three times as long when it is.
            if header < HEADER_LEN_MAX {
                assert_eq!(parse(own.into()), Ok(LiveMessage::Event(event.clone())));
            }
            assert!(bytes.ends_with(event.data.as_bytes()) && bytes[0] == 1);
        }
        Ok(LiveMessage::Plain(text)) => {
            assert_eq!(text.as_bytes(), bytes);
            assert!(!text.starts_with('\u{1}'));
        }
        Err(error) => assert_message(&error.to_string()),
    }
    let _ = written(&mut Unstructured::new(bytes));
}

fn written(input: &mut Unstructured<'_>) -> Result<()> {
    let event = Event {
        id: input::event_id(input)?,
        prev: if input.arbitrary()? { Some(input::event_id(input)?) } else { None },
        event_type: input::event_type(input)?,
        traceparent: input
            .arbitrary::<Option<&str>>()?
            .map(|text| text.chars().take(200).collect::<String>().into()),
        data: input.arbitrary::<&str>()?.into(),
    };
    let message = encode(&event);
    let header = message.split(|b| *b == b'\n').next().unwrap();
    assert!(header[1..].iter().all(|b| b.is_ascii_graphic() || *b == b' '));
    let optional = [event.prev.is_some(), event.event_type.is_some(), event.traceparent.is_some()];
    let fields = 2 + optional.into_iter().filter(|there| *there).count();
    assert_eq!(header.split(|b| *b == b' ').count(), fields);
    assert_eq!(&message[header.len() + 1..], event.data.as_bytes());
    assert_eq!(parse(message.into()), Ok(LiveMessage::Event(event)));
    Ok(())
}
