//! Event streams: what is read of any bytes, and what is written of any event.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use sluice_wire::EventType;
use sluice_wire::cursor::Cursor;
use sluice_wire::sse::{DEFAULT_EVENT_TYPE, Decoder, Frame, Item, Received, head};

use crate::input::{self, normalised};

/// Where a stream is split changes nothing, memory is bounded by the limit, and what was read can be written
/// and read again.
pub fn sse_decoder(bytes: &[u8]) {
    let Some((&choice, stream)) = bytes.split_first() else { return };
    let limit = if choice & 1 == 0 { Decoder::BYTES_MAX } else { usize::from(choice >> 1) };
    let piece = usize::from(choice % 7) + 1;
    let (whole, last_id) = decoded(limit, stream.chunks(stream.len().max(1)));
    for pieces in [1, piece, piece * 16] {
        assert_eq!(decoded(limit, stream.chunks(pieces)), (whole.clone(), last_id.clone()), "by {pieces}");
    }
    for item in &whole {
        match item {
            Item::Event(event) => again(event, limit),
            Item::Id(id) => assert_id(id),
            Item::Comment(text) => assert!(!text.contains(['\n', '\r'])),
            Item::Retry(_) | Item::Overlong => {}
        }
    }
}

fn decoded<'a>(limit: usize, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, String) {
    let mut decoder = Decoder::with_limit(limit);
    let mut items = Vec::new();
    pieces.for_each(|piece| decoder.feed(piece, &mut items));
    (items, decoder.last_event_id().to_owned())
}

fn assert_id(id: &str) {
    assert!(!id.contains(['\n', '\r', '\0']), "{id:?}");
}

fn again(event: &Received, limit: usize) {
    // A byte that is not UTF-8 is read as a character of three.
    assert!(event.data.len() <= limit.saturating_mul(3).saturating_add(1));
    assert!(!event.event_type.contains(['\n', '\r']) && !event.data.contains('\r'));
    assert_id(&event.last_event_id);
    let Ok(event_type) = EventType::parse(event.event_type.as_str()) else { return };
    let frame = Frame::event(None, Some(&event_type), &event.data);
    let head = head(&event.last_event_id, frame.tail().len());
    let payload = [&head.payload()[..], frame.tail_payload_bytes()].concat();
    let (items, _) = decoded(Decoder::BYTES_MAX, [&payload[..]].into_iter());
    assert_eq!(items, [Item::Event(event.clone())]);
}

/// Events behind each other arrive as they were and alone, whatever their data, type and id; the chunk around
/// each is exact.
pub fn sse_round_trip(bytes: &[u8]) {
    let _ = written(&mut Unstructured::new(bytes));
}

fn written(input: &mut Unstructured<'_>) -> Result<()> {
    let (mut chunks, mut expected, mut id) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..input.int_in_range(1..=4)? {
        match input.int_in_range(0..=5)? {
            0 => {
                let retry = Duration::from_millis(input.arbitrary::<u32>()?.into());
                let cursor = Cursor::from(input::event_id(input)?);
                id = cursor.to_string();
                chunks.extend_from_slice(Frame::opening(retry, Some(&cursor)).chunk());
                expected.extend([Item::Retry(millis(retry)), Item::Id(id.clone())]);
            }
            1 => {
                let text: &str = input.arbitrary()?;
                chunks.extend_from_slice(Frame::comment(text).chunk());
                expected.extend(normalised(text).split('\n').map(|line| Item::Comment(line.to_owned())));
            }
            2 => {
                let json: &str = input.arbitrary()?;
                chunks.extend_from_slice(Frame::control("sluice.gap", json, None).chunk());
                expected.push(received("sluice.gap", json, &id));
            }
            3 => {
                // What a feed of several topics writes: its own head before a shared tail.
                let (event_type, text, data) =
                    (input::event_type(input)?, input.arbitrary::<&str>()?, input.arbitrary()?);
                let frame = Frame::event(Some(input::event_id(input)?), event_type.as_ref(), data);
                let head = head(text, frame.tail().len());
                chunks.extend_from_slice(head.chunk());
                chunks.extend_from_slice(&frame.tail());
                id = text.replace(['\n', '\r', '\0'], "_");
                expected.push(received(
                    event_type.as_ref().map_or(DEFAULT_EVENT_TYPE, EventType::as_str),
                    data,
                    &id,
                ));
            }
            _ => {
                let (event_id, event_type) = (input::event_id(input)?, input::event_type(input)?);
                let data: &str = input.arbitrary()?;
                chunks.extend_from_slice(Frame::event(Some(event_id), event_type.as_ref(), data).chunk());
                id = event_id.to_string();
                expected.push(received(
                    event_type.as_ref().map_or(DEFAULT_EVENT_TYPE, EventType::as_str),
                    data,
                    &id,
                ));
            }
        }
    }
    let payload = unchunked(&chunks);
    assert_eq!(decoded(Decoder::BYTES_MAX, payload.chunks(3)).0, expected);
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

fn received(event_type: &str, data: &str, id: &str) -> Item {
    Item::Event(Received {
        event_type: event_type.to_owned(),
        data: normalised(data),
        last_event_id: id.to_owned(),
    })
}

/// The data of HTTP/1.1 chunks, whose envelopes must be exact.
fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while !chunks.is_empty() {
        let end = chunks.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = str::from_utf8(&chunks[..end]).unwrap();
        assert!(!size.starts_with('0'), "a size line of the right length: {size}");
        let length = usize::from_str_radix(size, 16).unwrap();
        let (data, rest) = chunks[end + 2..].split_at(length);
        payload.extend_from_slice(data);
        chunks = rest.strip_prefix(b"\r\n").unwrap();
    }
    payload
}
