//! Anything at all into every parser that faces the outside: an answer, never a panic.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_wire::cursor::Cursor;
use sluice_wire::envelope::{self, LiveMessage};
use sluice_wire::{EventId, Since, Topic, TopicPattern};

use crate::any;

/// The plain definition of a pattern's meaning, exponential and obvious.
fn means(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**", after @ ..], _) => means(after, topic) || (!topic.is_empty() && means(pattern, &topic[1..])),
        ([segment, after @ ..], [name, rest @ ..]) => {
            (*segment == "*" || segment == name) && means(after, rest)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn envelopes(bytes in vec(any::<u8>(), 0..300), header in "\u{1}v=[12]( |id=|prev=|type=|tp=|[0-9]|-|%|=|x|\\n){0,24}") {
        let _ = envelope::parse(Bytes::from(bytes.clone()));
        let marked = [b"\x01", &bytes[..]].concat();
        prop_assert!(!matches!(envelope::parse(marked.into()), Ok(LiveMessage::Plain(_))));
        let _ = envelope::parse([header.as_bytes(), &bytes].concat().into());
    }

    #[test]
    fn cursors(text in prop_oneof![any::data(), "v[0-9]{0,3}\\.?[A-Za-z0-9._~-]{0,60}", "[0-9~-]{0,40}", ".{0,60}"]) {
        if let Ok(cursor) = text.parse::<Cursor>() {
            let topic = Topic::parse("orders").unwrap();
            let _ = (cursor.position(&topic, 1), cursor.position(&topic, 2));
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn since(text in prop_oneof![
        any::data(),
        "(last:)?[0-9+-]{0,24}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?([Zz]|[+ -][0-9]{2}:[0-9]{2})?",
        "([0-9]{1,24} ?(ms|s|m|h|d|y|us)? ?){0,3}",
        ".{0,40}",
    ]) {
        let _ = text.parse::<Since>();
    }

    #[test]
    fn ids_and_topics(text in prop_oneof![any::data(), "[0-9-]{0,44}", ".{0,210}"]) {
        if let Ok(id) = text.parse::<EventId>() {
            prop_assert!(id.before() <= id && id <= id.after());
        }
        let _ = Topic::parse(&text);
        let _ = TopicPattern::parse(&text);
    }

    #[test]
    fn patterns_match_what_they_mean(pattern in "(a|b|\\*|\\*\\*|)(/(a|b|\\*|\\*\\*|)){0,6}", topic in "[ab](/[ab]){0,7}") {
        prop_assume!(!pattern.is_empty());
        let expected = means(&pattern.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>());
        let matched = TopicPattern::parse(&pattern).unwrap().matches(&Topic::parse(&topic).unwrap());
        prop_assert_eq!(matched, expected);
    }
}

/// 25 million steps for a matcher that goes back to every `**`: far more than time allows for one that tries
/// all ways to share the segments out.
#[test]
fn a_pattern_of_many_stars_is_answered() {
    let pattern = TopicPattern::parse(&format!("{}z", "**/a/".repeat(40))).unwrap();
    let topic = Topic::parse(&vec!["a"; 100].join("/")).unwrap();
    assert!(!pattern.matches(&topic));
}
