use super::*;

fn decode(text: impl AsRef<[u8]>) -> Vec<Item> {
    decode_within(usize::MAX, text)
}

fn decode_within(bytes_max: usize, text: impl AsRef<[u8]>) -> Vec<Item> {
    let mut items = Vec::new();
    Decoder::with_limit(bytes_max).feed(text.as_ref(), &mut items);
    items
}

fn event(event_type: &str, data: &str, id: &str) -> Item {
    let [event_type, data, last_event_id] = [event_type, data, id].map(str::to_owned);
    Item::Event(Received { event_type, data, last_event_id })
}

fn message(data: &str) -> Item {
    event("message", data, "")
}

/// The examples of the standard, section 9.2.6.
#[test]
fn reads_the_examples_of_the_standard() {
    assert_eq!(decode("data: YHOO\ndata: +2\ndata: 10\n\n"), [message("YHOO\n+2\n10")]);
    let four = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
    assert_eq!(
        decode(four),
        [
            Item::Comment("test stream".into()),
            event("message", "first event", "1"),
            event("message", "second event", "")
        ]
    );
    assert_eq!(decode("data\n\ndata\ndata\n\ndata:"), [message(""), message("\n")]);
    assert_eq!(decode("data:test\n\ndata: test\n\n"), [message("test"), message("test")]);
}

#[test]
fn every_line_end_ends_a_line() {
    for line_end in ["\n", "\r", "\r\n"] {
        let text = "event: a\ndata: x\ndata: y\n\ndata: z\n\n".replace('\n', line_end);
        assert_eq!(decode(text), [event("a", "x\ny", ""), message("z")], "{line_end:?}");
    }
    assert_eq!(decode("data: a\u{2028}b\u{85}c\u{b}d\n\n"), [message("a\u{2028}b\u{85}c\u{b}d")]);
}

#[test]
fn only_the_first_byte_order_mark_is_passed_over() {
    assert_eq!(decode("\u{feff}data: x\n\n"), [message("x")]);
    assert_eq!(decode("\u{feff}\u{feff}data: x\n\ndata: y\n\n"), [message("y")]);
    assert_eq!(decode("\n\u{feff}data: x\n\n"), []);
    assert_eq!(decode(b"\xef\xbbdata: x\n\ndata: y\n\n"), [message("y")]);
    assert_eq!(decode("data: \u{feff}\n\n"), [message("\u{feff}")]);
}

#[test]
fn the_type_lasts_for_one_block_and_the_id_for_all() {
    let text = "event: a\nid: 1\n\ndata: x\n\nid\n\ndata: y\nevent: b\nevent:\n\n";
    assert_eq!(
        decode(text),
        [Item::Id("1".into()), event("message", "x", "1"), Item::Id("".into()), message("y")]
    );
}

#[test]
fn an_id_counts_when_its_block_is_complete() {
    let mut decoder = Decoder::new();
    let mut items = Vec::new();
    decoder.feed(b"id: 1\n\nid: 2\ndata: x\n", &mut items);
    assert_eq!(decoder.last_event_id(), "1");
    decoder.feed(b"\n", &mut items);
    assert_eq!(decoder.last_event_id(), "2");
}

#[test]
fn fields_of_another_form_are_ignored() {
    assert_eq!(decode("id: 1\0\nid:\0\ndata: x\n\n"), [message("x")]);
    assert_eq!(
        decode("retry: 2000\nretry:7\nretry: \nretry: -1\nretry: 1s\nretry\n\n"),
        [Item::Retry(2000), Item::Retry(7)]
    );
    assert_eq!(decode("retry: 99999999999999999999999\n"), [Item::Retry(u64::MAX)]);
    assert_eq!(decode("Data: x\n data: x\ndata : x\nfoo: x\nfoo\n\n"), []);
    assert_eq!(decode(":\n:x\n:  y:z\n"), ["", "x", " y:z"].map(|text| Item::Comment(text.to_owned())));
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    assert_eq!(decode(b"data: a\xffb\xe2\x80\n\n"), [message("a\u{fffd}b\u{fffd}")]);
}

#[test]
fn an_event_beyond_the_limit_is_passed_over_as_a_whole() {
    // "data: 12345" has 11 bytes.
    assert_eq!(decode_within(11, "data: 12345\n\n"), [message("12345")]);
    assert_eq!(
        decode_within(10, "id: 1\ndata: 12345\nid: 2\ndata: x\n\ndata: y\n\n"),
        [Item::Overlong, message("y")]
    );
    let lines = "data: 12345\n".repeat(3);
    assert_eq!(
        decode_within(17, format!("{lines}\ndata: y\n\n")),
        [message("12345\n12345\n12345"), message("y")]
    );
    assert_eq!(
        decode_within(16, format!("id: 3\n{lines}{lines}\ndata: y\n\n")),
        [Item::Overlong, message("y")]
    );
    assert_eq!(decode_within(4, ": a comment that is too long\n\n"), [Item::Overlong]);
}

#[test]
fn nothing_of_an_overlong_line_is_kept() {
    let mut decoder = Decoder::with_limit(64);
    let mut items = Vec::new();
    for _ in 0..1000 {
        decoder.feed(&[b'x'; 50], &mut items);
    }
    assert_eq!(items, [Item::Overlong]);
    decoder.feed(b"\n\ndata: x\n\n", &mut items);
    assert_eq!(items[1..], [message("x")]);
}
