//! The JSON that publishers send. `data` that is a string is the event's text; any other value is published
//! as its own JSON text, numbers and key order untouched, only the white space between tokens left out.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sluice_wire::{ByteString, EventType, IdempotencyKey, NewEvent, Problem, Topic};

use super::refusal::Refusal;

/// How deep the value of `data` may be nested: the bound that serde_json has for everything else.
const DEPTH_MAX: usize = 128;

/// What an event looks like.
const FORM: &str = "{\"data\": .., \"type\"?: ..}, in a batch with \"topic\" and \"key\"?";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventBody<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(rename = "type")]
    event_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchEvent<'a> {
    topic: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(rename = "type")]
    event_type: Option<String>,
    key: Option<String>,
}

/// The body of one event for `topic`.
pub(super) fn event(topic: Topic, body: &[u8]) -> Result<NewEvent, Refusal> {
    let body: EventBody<'_> = object(utf8(body)?)?;
    let mut event = NewEvent::new(topic, data(body.data)?);
    event.event_type = event_type(body.event_type)?;
    Ok(event)
}

/// One event of a batch, as JSON text: `topic`, `data`, and perhaps `type` and `key`. Without a `topic` of its
/// own it goes to `topic_default`.
///
/// # Errors
///
/// The problem that the HTTP service answers for such a line.
pub fn read_event(text: &str, topic_default: Option<&Topic>) -> Result<NewEvent, Problem> {
    batch_event(text, topic_default).map_err(Refusal::into_problem)
}

pub(super) fn batch_event(text: &str, topic_default: Option<&Topic>) -> Result<NewEvent, Refusal> {
    let line: BatchEvent<'_> = object(text)?;
    let topic = match line.topic.as_deref() {
        Some(name) => Topic::parse(name).map_err(|error| Refusal::topic(error.to_string()))?,
        None => topic_default.cloned().ok_or_else(|| Refusal::body("missing field `topic`"))?,
    };
    let mut event = NewEvent::new(topic, data(line.data)?);
    event.event_type = event_type(line.event_type)?;
    event.key =
        line.key.map(IdempotencyKey::parse).transpose().map_err(|error| Refusal::key(error.to_string()))?;
    Ok(event)
}

/// The elements of a JSON array, at most `elements_max` of them, and whether there were more.
pub(super) fn elements(body: &[u8], elements_max: usize) -> Result<(Vec<&RawValue>, bool), Refusal> {
    let body = utf8(body)?;
    if kind_of(body) != "an array" {
        return Err(Refusal::body(format!(
            "a batch as application/json must be an array of events, not {}; one event goes to \
             POST /v1/topics/<topic>/events",
            kind_of(body)
        )));
    }
    let mut json = serde_json::Deserializer::from_str(body);
    let elements = json.deserialize_seq(Elements(elements_max)).map_err(invalid)?;
    json.end().map_err(invalid)?;
    Ok(elements)
}

/// Reads a JSON object. An array would be read as well, its items taken for the fields in their order: whoever posts
/// one as data would have something else published.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    match kind_of(text) {
        "an object" => serde_json::from_str(text).map_err(invalid),
        other => Err(Refusal::body(format!("an event must be a JSON object, not {other}: {FORM}"))),
    }
}

/// What a JSON text is, by its first character.
fn kind_of(text: &str) -> &'static str {
    match text.trim_start_matches([' ', '\t', '\n', '\r']).bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "text that is not JSON",
        None => "empty",
    }
}

/// `bytes` as text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|error| Refusal::body(format!("byte {} is not UTF-8; send UTF-8 text", error.valid_up_to())))
}

pub(super) fn event_type(text: Option<String>) -> Result<Option<EventType>, Refusal> {
    text.map(EventType::parse).transpose().map_err(|error| Refusal::event_type(&error))
}

#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
fn invalid(error: serde_json::Error) -> Refusal {
    Refusal::body(format!("{error}; an event is {FORM}"))
}

fn data(raw: &RawValue) -> Result<ByteString, Refusal> {
    if raw.get().starts_with('"') {
        return serde_json::from_str::<String>(raw.get())
            .map(ByteString::from)
            .map_err(|error| Refusal::body(format!("in the string `data`: {error}")));
    }
    let text = compact(raw.get());
    text.map(ByteString::from).ok_or_else(|| {
        Refusal::body(format!("`data` is nested deeper than {DEPTH_MAX} levels; send it as a string"))
    })
}

/// `json`, known to be valid, without the white space between its tokens; `None` if it is nested too deep.
fn compact(json: &str) -> Option<String> {
    let mut compact = String::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some(end) = rest.find(['"', ' ', '\n', '\r', '\t', '{', '[', '}', ']']) {
        let (before, at) = rest.split_at(end);
        compact.push_str(before);
        let token_len = match at.bytes().next()? {
            b'"' => string_len(at),
            b'{' | b'[' => {
                depth += 1;
                1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                1
            }
            _ => 0,
        };
        if depth > DEPTH_MAX {
            return None;
        }
        compact.push_str(at.get(..token_len)?);
        rest = at.get(token_len.max(1)..)?;
    }
    compact.push_str(rest);
    Some(compact)
}

/// The length of the JSON string that `text` begins with, quotes included.
fn string_len(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    text.len()
}

struct Elements(usize);

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de RawValue>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.0 {
            match sequence.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok((elements, false)),
            }
        }
        let mut more = false;
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok((elements, more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn published(body: &str) -> Result<String, String> {
        let event = event(Topic::parse("t").unwrap(), body.as_bytes());
        event.map(|event| event.data.to_string()).map_err(|refusal| refusal.problem().detail.clone())
    }

    #[test]
    fn strings_are_text_and_all_else_is_json() {
        for (body, data) in [
            (r#"{"data":"a\n\u00e9\ud83d\ude00"}"#, "a\né😀"),
            (r#"{"data":""}"#, ""),
            (r#"{"data":null}"#, "null"),
            (r#"{"data": 1.50e3 }"#, "1.50e3"),
            (r#"{"data":123456789012345678901234567890}"#, "123456789012345678901234567890"),
            (
                "{\"data\":{ \"b\" : [ 1 ,\n\t2 ] , \"a\" : \" x \\\" { \\\\\" }\r}",
                r#"{"b":[1,2],"a":" x \" { \\"}"#,
            ),
        ] {
            assert_eq!(published(body).as_deref(), Ok(data), "{body}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for (body, named) in [
            ("", "not empty"),
            ("[]", "not an array"),
            (r#"["x","y"]"#, "must be a JSON object, not an array"),
            (r#" [["x"]]"#, "not an array"),
            ("\"x\"", "not a string"),
            ("-1", "not a number"),
            ("true", "not a boolean"),
            ("null", "not null"),
            ("data", "not JSON"),
            ("{\"data\"", "EOF"),
            ("{}", "missing field `data`"),
            (r#"{"data":1,"dta":2}"#, "unknown field `dta`"),
            (r#"{"data":1,"data":2}"#, "duplicate field `data`"),
            (r#"{"data":1} x"#, "trailing characters"),
            (r#"{"data":"\ud800"}"#, "`data`"),
            (r#"{"data":1,"type":5}"#, "expected a string"),
            (r#"{"data":1,"type":""}"#, "must not be empty"),
            ("{\"data\":1,\"type\":\"a\\nb\"}", "control character"),
        ] {
            let detail = published(body).unwrap_err();
            assert!(detail.contains(named), "{body}: {detail}");
            for word in ["struct", "tuple", "variant", "EventBody", "BatchEvent", "RawValue", "Option"] {
                assert!(!detail.contains(word), "{body} is told of {word}: {detail}");
            }
        }
        let refusal = event(Topic::parse("t").unwrap(), b"{\"data\":\"\xff\"}").unwrap_err();
        assert!(refusal.problem().detail.contains("byte 9 is not UTF-8"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!(r#"{{"data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(published(&nested(DEPTH_MAX)).is_ok());
        assert!(published(&nested(DEPTH_MAX + 1)).unwrap_err().contains("deeper than 128"));
        assert!(published(&nested(200_000)).unwrap_err().contains("deeper than 128"));
        assert!(published(&format!(r#"{{"data":[{}]}}"#, "[],".repeat(999) + "{}")).is_ok());
    }

    #[test]
    fn elements_stop_at_their_limit() {
        let (elements_read, more) = elements(b"[1, {\"a\":2} ,3]", 2).unwrap();
        assert_eq!((elements_read[1].get(), elements_read.len(), more), ("{\"a\":2}", 2, true));
        assert!(!elements(b" [1] ", 1).unwrap().1);
        assert!(elements(b"[]", 1).unwrap().0.is_empty());
        for bad in [&b"{}"[..], b"[1", b"[1]]", b"[1,]", b""] {
            assert!(elements(bad, 9).is_err());
        }
    }

    proptest! {
        #[test]
        fn an_event_is_an_object_whatever_else_is_sent(items in proptest::collection::vec("[a-z\"]{0,5}", 0..5), depth in 0..3_usize) {
            let array = format!("{}{}{}", "[".repeat(depth), serde_json::json!(items), "]".repeat(depth));
            prop_assert!(published(&array).unwrap_err().contains("an array"));
            prop_assert!(read_event(&array, Some(&Topic::parse("t").unwrap())).is_err());
            // As data it is what it says.
            let event = published(&format!("{{\"data\":{array}}}"));
            prop_assert_eq!(event, Ok(array));
        }

        #[test]
        fn compacting_changes_no_value(text in ".{0,40}", numbers in proptest::collection::vec(any::<i64>(), 0..5)) {
            let value = serde_json::json!({"k": [text, {"n": numbers}], "e": {}});
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact(&pretty).unwrap(), value.to_string());
        }
    }
}
