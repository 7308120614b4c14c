//! The decoder against a plain reading of the standard, and against itself for every split of its input.

use proptest::collection::vec;
use proptest::prelude::*;
use sluice_wire::sse::{Decoder, Item, Received};

/// Pieces of streams, broken ones too.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"data",
        b"data:",
        b"data: x",
        b"data: y\n\n",
        b"event: a",
        b"event:",
        b"id: 1",
        b"id:",
        b"id",
        b"id: \0",
        b"retry: 10",
        b"retry: x",
        b":",
        b": beat",
        b" ",
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"\xbf",
        b"\xff",
        b"\xe2\x80\xa8",
        b"\0",
        b"0123456789abcdef",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..6),
    ];
    let mark = prop::sample::select(vec![&b""[..], b"\xef\xbb\xbf", b"\xef\xbb"]);
    (mark, vec(piece, 0..40)).prop_map(|(mark, pieces)| [mark.to_vec(), pieces.concat()].concat())
}

fn decoded<'a>(bytes_max: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Item>, String) {
    let mut decoder = Decoder::with_limit(bytes_max);
    let mut items = Vec::new();
    for piece in pieces {
        decoder.feed(piece, &mut items);
    }
    (items, decoder.last_event_id().to_owned())
}

/// The standard's algorithm, section 9.2.6, over a whole stream at once and with no thought for speed.
fn by_the_standard(stream: &[u8]) -> Vec<Item> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut data, mut event_type, mut id) = (String::new(), String::new(), String::new());
    let mut id_seen = false;
    let mut items = Vec::new();
    // What stands behind the last line break is no line yet.
    let lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    for line in lines.split('\n').take(text.matches('\n').count()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                if !data.is_empty() {
                    let event_type =
                        if event_type.is_empty() { "message".to_owned() } else { event_type.clone() };
                    let data = data[..data.len() - 1].to_owned();
                    items.push(Item::Event(Received { event_type, data, last_event_id: id.clone() }));
                } else if id_seen {
                    items.push(Item::Id(id.clone()));
                }
                data.clear();
                event_type.clear();
                id_seen = false;
            }
            "" => items.push(Item::Comment(value.to_owned())),
            "data" => data.push_str(&format!("{value}\n")),
            "event" => value.clone_into(&mut event_type),
            "id" if !value.contains('\0') => {
                value.clone_into(&mut id);
                id_seen = true;
            }
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                items.push(Item::Retry(value.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }
    items
}

proptest! {
    #[test]
    fn reads_what_the_standard_reads(stream in stream()) {
        prop_assert_eq!(decoded(usize::MAX, [&stream[..]]).0, by_the_standard(&stream));
    }

    #[test]
    fn every_split_in_two_reads_the_same(stream in stream(), bytes_max in prop_oneof![Just(usize::MAX), 0..24_usize]) {
        let whole = decoded(bytes_max, [&stream[..]]);
        for at in 0..=stream.len() {
            let (front, back) = stream.split_at(at);
            prop_assert_eq!(&decoded(bytes_max, [front, back]), &whole, "split at {}", at);
        }
    }

    #[test]
    fn any_split_reads_the_same(
        stream in stream(),
        sizes in vec(0..9_usize, 1..64),
        bytes_max in prop_oneof![Just(usize::MAX), 0..24_usize],
    ) {
        let whole = decoded(bytes_max, [&stream[..]]);
        prop_assert_eq!(&decoded(bytes_max, stream.chunks(1)), &whole);
        let mut rest = &stream[..];
        let mut pieces = Vec::new();
        for size in sizes {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(&decoded(bytes_max, pieces), &whole);
    }

    #[test]
    fn no_input_does_harm(stream in vec(any::<u8>(), 0..4096), bytes_max in 0..64_usize) {
        decoded(bytes_max, stream.chunks(7));
        decoded(usize::MAX, [&stream[..]]);
    }
}
