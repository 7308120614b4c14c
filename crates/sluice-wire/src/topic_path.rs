//! The path `/v1/topics/{topic}/events`, read the same way by the gateway (GET) and the publisher (POST).
//!
//! A topic may hold slashes, raw or percent-encoded, so no router's parameter fits it: the topic is all
//! between the fixed beginning and the final `/events`. What a proxy on the way might rewrite (empty, `.`
//! and `..` segments) is in no topic.

use bytes::Bytes;

use crate::percent;
use crate::{Topic, TopicError};

/// What the path of a topic's events begins with.
const BEGINNING: &str = "/v1/topics/";
/// What it ends with.
const END: &str = "/events";

/// Why a path names no topic's events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicPathError {
    /// The path is another one: a matter for 404.
    #[error("the path is not /v1/topics/<topic>/events")]
    Elsewhere,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the topic in the path is not percent-encoded UTF-8")]
    Encoding,
    /// The text is not a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// Reads the topic out of `path`: a URI's path as it came over the wire, still percent-encoded.
///
/// ```
/// use sluice_wire::parse_events_path;
/// assert_eq!(parse_events_path("/v1/topics/orders%2F7/events").unwrap().as_str(), "orders/7");
/// assert_eq!(parse_events_path("/v1/topics/orders/7/events").unwrap().as_str(), "orders/7");
/// ```
pub fn parse_events_path(path: &str) -> Result<Topic, TopicPathError> {
    let encoded = path
        .strip_prefix(BEGINNING)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(TopicPathError::Elsewhere)?;
    let name =
        percent::decode(&Bytes::copy_from_slice(encoded.as_bytes())).ok_or(TopicPathError::Encoding)?;
    Ok(Topic::parse(&name)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_topic_is_all_between_the_ends() {
        for (path, topic) in [
            ("/v1/topics/a/events", "a"),
            ("/v1/topics/a/b/c/events", "a/b/c"),
            ("/v1/topics/a%2Fb%2fc/events", "a/b/c"),
            ("/v1/topics/events/events", "events"),
            ("/v1/topics/user%3A7%40eu/events", "user:7@eu"),
            ("/v1/topics/a..b/...x/events", "a..b/...x"),
        ] {
            assert_eq!(parse_events_path(path).unwrap().as_str(), topic, "{path}");
        }
    }

    #[test]
    fn every_other_path_says_why() {
        for path in [
            "",
            "/",
            "/v1/topics",
            "/v1/topics/",
            "/v1/topics/a",
            "/v1/topics/events",
            "/v1/topics/a/events/",
        ] {
            assert_eq!(parse_events_path(path), Err(TopicPathError::Elsewhere), "{path}");
        }
        for path in
            ["/v1/topics/%/events", "/v1/topics/a%2/events", "/v1/topics/%zz/events", "/v1/topics/%ff/events"]
        {
            assert_eq!(parse_events_path(path), Err(TopicPathError::Encoding), "{path}");
        }
        for topic in ["a//b", "/a", "a/", ".", "..", "a/./b", "a/../b", "%2e%2E", "a%2F%2Fb", "a%2f.."] {
            let path = format!("/v1/topics/{topic}/events");
            let refused = parse_events_path(&path);
            let of_a_segment = TopicPathError::Topic(TopicError::Segment { number: 1, segment: "" });
            let why = refused.unwrap_err();
            assert_eq!(std::mem::discriminant(&why), std::mem::discriminant(&of_a_segment), "{path}");
        }
        for topic in ["", "a%20b", "%7Ba%7D", "a%252Fb", "a%00", "caf%C3%A9", &"x".repeat(201)] {
            let path = format!("/v1/topics/{topic}/events");
            assert!(matches!(parse_events_path(&path), Err(TopicPathError::Topic(_))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_encoding_of_a_topic_names_it(name in "[A-Za-z0-9_~:@-]{1,20}(/[A-Za-z0-9_~:@-]{1,20}){0,4}", encode in any::<u64>()) {
            let path: String = name
                .bytes()
                .enumerate()
                .map(|(i, b)| if encode >> (i % 64) & 1 == 1 { format!("%{b:02X}") } else { char::from(b).to_string() })
                .collect();
            let topic = parse_events_path(&format!("/v1/topics/{path}/events")).unwrap();
            prop_assert_eq!(topic.as_str(), name);
        }

        #[test]
        fn no_path_panics(path in "/v1/topics/.{0,40}/events") {
            let _ = parse_events_path(&path);
        }
    }
}
