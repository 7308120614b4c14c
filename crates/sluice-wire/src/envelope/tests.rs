use super::*;

fn parse_bytes(message: &[u8]) -> Result<LiveMessage, EnvelopeError> {
    parse(Bytes::copy_from_slice(message))
}

fn event(data: &str) -> Event {
    Event { id: EventId::new(9, 1), prev: None, event_type: None, data: data.into(), traceparent: None }
}

#[test]
fn the_format_is_this() {
    let full = Event {
        prev: Some(EventId::ZERO),
        event_type: Some(EventType::parse("a b").unwrap()),
        traceparent: Some("00-1-2-01".into()),
        ..event("x\ny")
    };
    let message = b"\x01v=1 id=9-1 prev=0-0 type=a%20b tp=00-1-2-01\nx\ny";
    assert_eq!(encode(&full), message);
    assert_eq!(parse_bytes(message), Ok(LiveMessage::Event(full)));
    assert_eq!(encode(&event("")), b"\x01v=1 id=9-1\n");
}

#[test]
fn skips_what_a_later_version_may_add() {
    let message = b"\x01v=1 trace=%%% id=9-1 hops=3\nx";
    assert_eq!(parse_bytes(message), Ok(LiveMessage::Event(event("x"))));
}

#[test]
fn takes_anything_else_for_plain_text() {
    for text in ["", "hello", "v=1 id=9-1\nx", "{\"a\":\"\u{1}\"}"] {
        assert_eq!(parse_bytes(text.as_bytes()), Ok(LiveMessage::Plain(text.into())));
    }
    assert_eq!(parse_bytes(b"ab\xff"), Err(EnvelopeError::NotUtf8 { offset: 2 }));
}

#[test]
fn does_not_copy_the_data() {
    let message = Bytes::from(encode(&event("payload")));
    let Ok(LiveMessage::Event(read)) = parse(message.clone()) else { panic!("an event") };
    assert_eq!(read.data.as_ptr(), message[message.len() - 7..].as_ptr());
}

#[test]
fn says_what_is_wrong_and_where() {
    let version = |found: &str| EnvelopeError::Version { found: found.to_owned() };
    for (message, error) in [
        (&b"\x01"[..], EnvelopeError::NoHeaderEnd),
        (b"\x01v=1 id=9-1", EnvelopeError::NoHeaderEnd),
        (b"\x01\nx", version("")),
        (b"\x01v=2 id=9-1\nx", version("v=2")),
        (b"\x01id=9-1 v=1\nx", version("id=9-1")),
        (b"\x01v=1\nx", EnvelopeError::NoId),
        (b"\x01v=1 id\nx", EnvelopeError::NoValue { offset: 5 }),
        (b"\x01v=1 id=9\nx", EnvelopeError::Id { key: "id", offset: 5 }),
        (b"\x01v=1 id=9-1 prev=\xff\nx", EnvelopeError::Id { key: "prev", offset: 12 }),
        (b"\x01v=1 id=9-1 id=9-2\nx", EnvelopeError::Repeated { key: "id", offset: 12 }),
        (b"\x01v=1 id=9-1 type=%4\nx", EnvelopeError::Encoding { key: "type", offset: 12 }),
        (b"\x01v=1 id=9-1 type=\nx", EnvelopeError::Type { offset: 12, why: EventTypeError::Empty }),
        (b"\x01v=1 id=9-1 tp=\xff\nx", EnvelopeError::Encoding { key: "tp", offset: 12 }),
        (b"\x01v=1 id=9-1\nab\xff", EnvelopeError::NotUtf8 { offset: 14 }),
    ] {
        assert_eq!(parse_bytes(message), Err(error), "{}", message.escape_ascii());
    }
    let reserved = parse(Bytes::from_static(b"\x01v=1 id=9-1 type=sluice.expired\n{}"));
    assert!(
        matches!(reserved, Err(EnvelopeError::Type { why: EventTypeError::Reserved, .. })),
        "{reserved:?}"
    );
    let control = parse_bytes(b"\x01v=1 id=9-1 type=a%0Adata:%20x\nx");
    assert!(matches!(control, Err(EnvelopeError::Type { why: EventTypeError::Control { .. }, .. })));
}

#[test]
fn a_header_without_an_end_is_not_searched_far() {
    let mut message = b"\x01v=1 id=9-1 x=".to_vec();
    message.resize(HEADER_LEN_MAX, b'y');
    message.push(b'\n');
    assert_eq!(parse_bytes(&message), Err(EnvelopeError::NoHeaderEnd));
}
