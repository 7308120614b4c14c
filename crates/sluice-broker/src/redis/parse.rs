//! Reads what Redis answers about streams, straight from its values: no map an entry, no copy of the data.

use bytes::Bytes;
use redis::Value;
use sluice_wire::{ByteString, Event, EventId, EventType};

use super::failure;
use crate::{BrokerError, LogHead, Page};

/// The text of a string value.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The fields of a map, which RESP2 answers flat.
pub(super) fn fields(value: &Value) -> Option<Vec<(&Value, &Value)>> {
    match value {
        Value::Map(pairs) => Some(pairs.iter().map(|(name, value)| (name, value)).collect()),
        Value::Array(flat) => Some(flat.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect()),
        _ => None,
    }
}

/// An entry id.
pub(super) fn id(value: &Value) -> Option<EventId> {
    text(value)?.parse().ok()
}

/// The entries that XRANGE, XREVRANGE or one stream of XREAD answered, in the order answered.
pub(super) fn page(value: Value, limit: usize) -> Result<Page, BrokerError> {
    let entries = match value {
        Value::Array(entries) => entries,
        Value::Nil => return Ok(Page::default()),
        _ => return Err(failure::odd("a stream read", "entries")),
    };
    let mut page = Page { more: entries.len() >= limit, ..Page::default() };
    page.events.reserve(entries.len());
    for entry in entries {
        let (id, fields) = split(entry).ok_or_else(|| failure::odd("a stream read", "id of an entry"))?;
        page.first.get_or_insert(id);
        page.last = Some(id);
        match event(id, fields) {
            Some(event) => page.events.push(event),
            None => page.skipped.push(id),
        }
    }
    Ok(page)
}

fn split(entry: Value) -> Option<(EventId, Vec<Value>)> {
    let Value::Array(parts) = entry else { return None };
    let [name, fields] = <[Value; 2]>::try_from(parts).ok()?;
    let fields = match fields {
        Value::Array(fields) => fields,
        _ => Vec::new(),
    };
    Some((id(&name)?, fields))
}

/// The event of an entry, if it is one that a client can be given.
fn event(id: EventId, fields: Vec<Value>) -> Option<Event> {
    let (mut data, mut prev, mut event_type, mut traceparent) = (None, None, None, None);
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next())
    {
        match name.as_slice() {
            b"data" => data = Some(string(value)?),
            b"prev" => prev = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()),
            b"type" if !value.is_empty() => event_type = Some(EventType::parse(string(value)?).ok()?),
            b"tp" => traceparent = string(value),
            _ => {}
        }
    }
    Some(Event { id, prev, event_type, data: data?, traceparent })
}

fn string(bytes: Vec<u8>) -> Option<ByteString> {
    ByteString::try_from(Bytes::from(bytes)).ok()
}

/// What XINFO STREAM says of a log.
pub(super) fn head(value: Value) -> Result<LogHead, BrokerError> {
    let pairs: Vec<(Value, Value)> = match value {
        Value::Map(pairs) => pairs,
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
        }
        _ => return Err(failure::odd("XINFO STREAM", "fields")),
    };
    let mut last = None;
    let mut oldest = None;
    let mut deleted = EventId::ZERO;
    let (mut added, mut length) = (None, None);
    for (name, value) in pairs {
        match text(&name) {
            Some("last-generated-id") => last = id(&value),
            Some("first-entry") => oldest = split(value).map(|(id, _)| id),
            Some("max-deleted-entry-id") => deleted = id(&value).unwrap_or_default(),
            Some("entries-added") => added = Some(value),
            Some("length") => length = Some(value),
            _ => {}
        }
    }
    let last = last.ok_or_else(|| failure::odd("XINFO STREAM", "last-generated-id"))?;
    let whole = oldest.is_some() && added == length;
    Ok(LogHead { last, oldest, whole, deleted, past: EventId::ZERO })
}

/// The streams that XREAD answered, each with its key.
pub(super) fn streams(value: Value) -> Result<Vec<(Value, Value)>, BrokerError> {
    let odd = || failure::odd("XREAD", "streams");
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::Map(streams) => Ok(streams),
        Value::Array(streams) => streams
            .into_iter()
            .map(|stream| match stream {
                Value::Array(parts) => <[Value; 2]>::try_from(parts).map(Into::into).map_err(|_| odd()),
                _ => Err(odd()),
            })
            .collect(),
        _ => Err(odd()),
    }
}

/// Milliseconds since the Unix epoch, from what TIME answered.
pub(super) fn time_ms(value: &Value) -> Result<u64, BrokerError> {
    let Value::Array(parts) = value else { return Err(failure::odd("TIME", "parts")) };
    let number = |index: usize| parts.get(index).and_then(text).and_then(|text| text.parse::<u64>().ok());
    match (number(0), number(1)) {
        (Some(seconds), Some(micros)) => Ok(seconds * 1000 + micros / 1000),
        _ => Err(failure::odd("TIME", "seconds and microseconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())])
    }

    #[test]
    fn events_are_read_and_what_is_none_is_counted() {
        let invalid =
            Value::Array(vec![bulk("5-0"), Value::Array(vec![bulk("data"), Value::BulkString(vec![0xff])])]);
        let answer = Value::Array(vec![
            entry("1-0", &["foo", "bar"]),
            entry("2-0", &["data", "x", "prev", "1-0", "type", "t", "tp", "00-1"]),
            entry("3-0", &["data", "y", "prev", "junk"]),
            entry("4-0", &["data", "z", "type", "a\nb"]),
            entry("4-1", &["data", "{}", "type", "sluice.expired"]),
            invalid,
        ]);
        let page = page(answer, 6).unwrap();
        assert_eq!((page.first, page.last), (Some(EventId::new(1, 0)), Some(EventId::new(5, 0))));
        assert_eq!((page.more, page.events.len()), (true, 2));
        assert_eq!(
            page.skipped,
            [EventId::new(1, 0), EventId::new(4, 0), EventId::new(4, 1), EventId::new(5, 0)]
        );
        assert_eq!(page.events[0].prev, Some(EventId::new(1, 0)));
        assert_eq!(page.events[0].event_type.as_ref().unwrap().as_str(), "t");
        assert_eq!(page.events[0].traceparent.as_deref(), Some("00-1"));
        assert_eq!((&*page.events[1].data, page.events[1].prev), ("y", None));
    }

    #[test]
    fn both_protocols_are_read() {
        let flat =
            vec![bulk("last-generated-id"), bulk("7-1"), bulk("first-entry"), entry("5-0", &["data", "x"])];
        let expected = LogHead {
            last: EventId::new(7, 1),
            oldest: Some(EventId::new(5, 0)),
            whole: true,
            deleted: EventId::new(6, 0),
            past: EventId::ZERO,
        };
        let lengths = [
            bulk("length"),
            Value::Int(3),
            bulk("entries-added"),
            Value::Int(3),
            bulk("max-deleted-entry-id"),
            bulk("6-0"),
        ];
        let flat = [flat, lengths.to_vec()].concat();
        assert_eq!(head(Value::Array(flat.clone())).unwrap(), expected);
        let pairs = flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        assert_eq!(head(Value::Map(pairs)).unwrap(), expected);
        let resp2 = Value::Array(vec![Value::Array(vec![bulk("k"), Value::Array(vec![])])]);
        let resp3 = Value::Map(vec![(bulk("k"), Value::Array(vec![]))]);
        assert_eq!(streams(resp2).unwrap(), streams(resp3).unwrap());
        assert_eq!(time_ms(&Value::Array(vec![bulk("12"), bulk("345678")])).unwrap(), 12_345);
    }
}
