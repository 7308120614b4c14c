//! Values made of the fuzzer's bytes. Where a format gives a value a meaning, that value is frequent.

use arbitrary::{Result, Unstructured};
use sluice_wire::{EventId, EventType, Topic};

const TOPIC_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/:";

/// Two names that have one short name in cursors.
const NAMESAKES: [&str; 2] = ["room/mxzadh", "room/uoyxlg"];

pub(crate) fn topic(input: &mut Unstructured<'_>) -> Result<Topic> {
    let name = match input.int_in_range(0..=7)? {
        at @ 0..=1 => NAMESAKES[at].to_owned(),
        _ => {
            let length = input.int_in_range(1..=24)?;
            input.bytes(length)?.iter().map(|b| char::from(TOPIC_ALPHABET[usize::from(b % 64)])).collect()
        }
    };
    // Slashes stand where they like in it; a topic has none at its ends and no two together.
    let name: Vec<&str> = name.split('/').filter(|segment| !segment.is_empty()).collect();
    Ok(Topic::parse(&name.join("/")).unwrap_or_else(|_| Topic::parse("t").unwrap()))
}

pub(crate) fn number(input: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match input.int_in_range(0..=3)? {
        0 => input.int_in_range(0..=3)?,
        1 => input.int_in_range(1_700_000_000_000..=1_800_000_000_000_u64)?,
        2 => u64::MAX - input.int_in_range(0..=3)?,
        _ => input.arbitrary()?,
    })
}

pub(crate) fn event_id(input: &mut Unstructured<'_>) -> Result<EventId> {
    Ok(EventId::new(number(input)?, number(input)?))
}

/// `None` for the type that needs no field, and where the text is no type.
pub(crate) fn event_type(input: &mut Unstructured<'_>) -> Result<Option<EventType>> {
    if input.ratio(1, 3)? {
        return Ok(None);
    }
    Ok(EventType::parse(input.arbitrary::<&str>()?).ok())
}

/// `text` with its line breaks as a reader of event streams sees them.
pub(crate) fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Panics unless a message to somebody is one line and short, whatever it is about.
pub(crate) fn assert_message(message: &str) {
    assert!(message.len() <= 1_003, "a message of {} bytes", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
}
