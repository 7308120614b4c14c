use super::*;

fn text(frame: &Frame) -> String {
    let payload = String::from_utf8(frame.payload().to_vec()).unwrap();
    assert_eq!(*frame.chunk(), format!("{:x}\r\n{payload}\r\n", payload.len()));
    assert!(frame.chunk().ends_with(&frame.tail()));
    assert_eq!(frame.payload_bytes(), payload.as_bytes());
    assert_eq!(frame.tail_bytes(), frame.tail());
    assert_eq!([frame.tail_payload_bytes(), CHUNK_END].concat(), frame.tail());
    payload
}

fn data(data: &str) -> String {
    text(&Frame::event(None, None, data))
}

#[test]
fn an_event_has_id_type_and_data() {
    let created = EventType::parse("order.created").unwrap();
    let frame = Frame::event(Some(EventId::new(17, 0)), Some(&created), "x\ny");
    assert_eq!(text(&frame), "id: 17-0\nevent: order.created\ndata: x\ndata: y\n\n");
    assert_eq!(frame.tail(), "event: order.created\ndata: x\ndata: y\n\n\r\n");
}

#[test]
fn the_default_type_is_left_out() {
    let message = EventType::parse("message").unwrap();
    let frame = Frame::event(None, Some(&message), "x");
    assert_eq!(text(&frame), "data: x\n\n");
    assert_eq!(frame.tail(), "data: x\n\n\r\n");
}

#[test]
fn data_is_split_at_every_line_break_and_at_nothing_else() {
    assert_eq!(data(""), "data:\n\n");
    assert_eq!(data("a\rb\r\nc\n\rd"), "data: a\ndata: b\ndata: c\ndata:\ndata: d\n\n");
    assert_eq!(data("\r\n"), "data:\ndata:\n\n");
    assert_eq!(data(" a"), "data:  a\n\n");
    let text = "\u{feff}a\u{2028}b\u{85}c\0\u{b}";
    assert_eq!(data(text), format!("data: {text}\n\n"));
    for line_break in ["\n", "\r", "\r\n"] {
        assert_eq!(data(&line_break.repeat(5000)), format!("{}\n", "data:\n".repeat(5001)));
    }
}

#[test]
fn other_frames_are_what_they_say() {
    let cursor = Cursor::Plain { last: EventId::new(5, 1), floor_ms: Some(9) };
    let retry = Duration::from_secs(2);
    assert_eq!(text(&Frame::opening(retry, Some(&cursor))), "retry: 2000\nid: 5-1~9\n\n");
    assert_eq!(text(&Frame::opening(retry, None)), "retry: 2000\n\n");
    assert_eq!(text(&Frame::checkpoint(&cursor)), "id: 5-1~9\n\n");
    let event = "id: 5-1~9\nevent: sluice.cursor\ndata: {}\n\n";
    assert_eq!(text(&Frame::cursor_event(None, &cursor)), event);
    assert_eq!(text(&Frame::cursor_event(Some(retry), &cursor)), format!("retry: 2000\n{event}"));
    assert_eq!(text(&Frame::comment("beat\nid: 1")), ": beat\n: id: 1\n\n");
    assert_eq!(text(&Frame::comment("")), ":\n\n");
}

#[test]
fn a_control_event_has_no_id() {
    let frame = Frame::control("sluice.shed", "{}", Some(Duration::from_millis(1500)));
    assert_eq!(text(&frame), "retry: 1500\nevent: sluice.shed\ndata: {}\n\n");
    assert_eq!(text(&Frame::control("sluice.live", "{}", None)), "event: sluice.live\ndata: {}\n\n");
    assert_eq!(field_safe("a\r\nid: 1\0"), "a\u{fffd}\u{fffd}id: 1\u{fffd}");
}

#[test]
fn a_single_line_takes_exactly_its_bytes() {
    let id = EventId::new(1_700_000_000_000, 3);
    for length in [1, 9, 64, 5000] {
        let data = "x".repeat(length);
        let lines = Lines::new(b"data:", &data);
        let mut frame = Fields { id: Some(&id), ..Fields::default() }.begin(lines);
        let capacity = frame.bytes.capacity();
        frame.lines(lines);
        assert_eq!(frame.finish().chunk().len(), capacity, "{length}");
    }
}
