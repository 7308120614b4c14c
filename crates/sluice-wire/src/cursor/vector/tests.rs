use super::*;
use crate::cursor::{Cursor, CursorError};

const NOW: u64 = 1_700_000_000_000;

/// Two topics with one short name.
const TWINS: [&str; 2] = ["room/mxzadh", "room/uoyxlg"];

fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

fn vector(floor_ms: u64, positions: &[(&str, EventId)]) -> VectorCursor {
    let topics: Vec<_> = positions.iter().map(|(name, id)| (topic(name), *id)).collect();
    let positions: Vec<_> = topics.iter().map(|(topic, id)| (topic, *id)).collect();
    VectorCursor::new(floor_ms, &positions)
}

fn read(text: &str) -> VectorCursor {
    match text.parse() {
        Ok(Cursor::Vector(vector)) => vector,
        other => panic!("{text:?} is read as {other:?}"),
    }
}

/// Cursors outlive the process that wrote them: this text is never to change while the version is 1.
#[test]
fn the_format_is_this() {
    let orders = ("orders", EventId::new(NOW + 62, 0));
    let user = ("user/7", EventId::new(NOW + 1, 36));
    let quiet = ("global", EventId::new(NOW, 9));
    let text = "v1.Tvcokgi.1ceC6i1-a.l5dbrg10";
    assert_eq!(vector(NOW, &[orders, user, quiet]).to_string(), text);
    assert_eq!(read(text), vector(NOW, &[user, quiet, orders]));
    assert_eq!(vector(0, &[]).to_string(), "v1.0");
    assert_eq!(vector(0, &[("orders", EventId::new(0, 1))]).to_string(), "v1.0.l5dbrg0-1");
}

#[test]
fn what_is_not_listed_stands_at_the_floor() {
    let cursor =
        read(&vector(NOW, &[("a", EventId::new(NOW + 5, 1)), ("b", EventId::new(NOW - 5, 1))]).to_string());
    assert_eq!(cursor.floor_ms(), NOW);
    assert_eq!(cursor.position(&topic("a")), EventId::new(NOW + 5, 1));
    assert_eq!(cursor.position(&topic("b")), EventId::new(NOW, u64::MAX));
    assert_eq!(
        cursor.position(&topic("new to the set".replace(' ', "-").as_str())),
        EventId::new(NOW, u64::MAX)
    );
    assert_eq!(vector(0, &[("a", EventId::ZERO)]).position(&topic("a")), EventId::ZERO);
}

#[test]
fn topics_with_one_short_name_get_longer_ones() {
    let [one, other] = TWINS.map(topic);
    assert_ne!(hash(&one), hash(&other));
    assert_eq!(short(hash(&one)), short(hash(&other)));
    let (early, late) = (EventId::new(NOW + 1, 0), EventId::new(NOW + 2, 0));
    let cursor = read(&vector(NOW, &[(TWINS[0], early), (TWINS[1], late), ("a", late)]).to_string());
    assert_eq!([&one, &other, &topic("a")].map(|topic| cursor.position(topic)), [early, late, late]);
    assert_eq!(cursor.to_string().matches('~').count(), 2);

    // Only one of them is newer than the floor: the other must not be taken for it.
    let cursor = read(&vector(NOW, &[(TWINS[0], early), (TWINS[1], EventId::ZERO)]).to_string());
    assert_eq!([&one, &other].map(|topic| cursor.position(topic)), [early, EventId::new(NOW, u64::MAX)]);
    // Alone in its set, each has a short name.
    assert!(!vector(NOW, &[(TWINS[0], early)]).to_string().contains('~'));
}

#[test]
fn another_text_of_a_value_is_broken() {
    for text in [
        "v1.",
        "v1.00",
        "v1.0.",
        "v1.0.aaaaaa",
        "v1.0.aaaaa1",
        "v1.0.aaaaaa0",
        "v1.0.aaaaaa01",
        "v1.0.aaaaaa1-",
        "v1.0.aaaaaa1-0",
        "v1.0.aaaaaa1-1-1",
        "v1.1.aaaaaa0-1",
        "v1.0.aaaaaa1.aaaaaa1",
        "v1.0.aaaaab1.aaaaaa1",
        "v1.0~aaaaaaaaaaa1.aaaaaa1",
        "v1.0~zzzzzzzzzzz1",
        "v1.LygHa16AHYF.aaaaaa1",
        "v1.LygHa16AHYG",
        "v1.0 ",
        "v1.0.aaaaa\u{e9}1",
        "v1.0.aaaaaa\u{e9}",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(CursorError::Broken), "{text:?}");
    }
    assert!("v1.0.0000001.zzzzzz1~0000000000a1-LygHa16AHYF".parse::<Cursor>().is_ok());
}

#[test]
fn a_cursor_beyond_the_limit_is_broken() {
    let entries = |count: usize| (0..count).map(|n| format!(".{n:06}1")).collect::<String>();
    let fitting = (Cursor::LEN_MAX - "v1.1000".len()) / ".0000001".len();
    let longest = format!("v1.1000{}", entries(fitting));
    assert_eq!(read(&longest).to_string(), longest);
    assert_eq!(format!("v1.1000{}", entries(fitting + 1)).parse::<Cursor>(), Err(CursorError::Broken));
    let zeros = "0".repeat(Cursor::LEN_MAX);
    assert_eq!(format!("{zeros}-0").parse::<Cursor>(), Err(CursorError::Broken));
}

#[test]
fn cursors_are_short() {
    let set = |topics: u64, ahead_ms: u64, seq: u64| {
        let names: Vec<_> = (0..topics).map(|n| format!("user/{n}")).collect();
        let positions =
            names.iter().zip(0..).map(|(name, n)| (name.as_str(), EventId::new(NOW + ahead_ms + n, seq)));
        vector(NOW, &positions.collect::<Vec<_>>()).to_string().len()
    };
    assert!(set(2, 10_000, 3) < 40, "{}", set(2, 10_000, 3));
    assert!(set(8, 10_000, 3) < 128, "{}", set(8, 10_000, 3));
    // A day behind, and every id with a sequence number.
    assert!(set(64, 86_400_000, 1000) <= 1500, "{}", set(64, 86_400_000, 1000));
    // With a floor that never moved and the greatest ids.
    let names: Vec<_> = (0..64).map(|n| format!("user/{n}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), EventId::MAX)).collect();
    let worst = vector(0, &all).to_string();
    assert!(worst.len() <= Cursor::len_max(64), "{}", worst.len());
    assert_eq!(read(&worst), vector(0, &all));
}
