//! Server-Sent Events out of a run of text, without a copy.

use super::Sink;

/// An event as it lies in the text. Only the first `data:` line is kept, because a load's events have one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The value of `id:`.
    pub(crate) id: Option<&'a [u8]>,
    /// The value of `event:`.
    pub(crate) kind: Option<&'a [u8]>,
    /// The value of the first `data:`; `None` moves the cursor without an event.
    pub(crate) data: Option<&'a [u8]>,
    /// The value of `retry:`: milliseconds to wait before the next connection.
    pub(crate) retry_ms: Option<u32>,
}

/// Tells `sink` all events that are whole in `text`; returns where the first that is not begins.
#[inline]
pub(super) fn scan(text: &[u8], sink: &mut impl Sink) -> usize {
    let mut done = 0;
    let mut event = Event::default();
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\n', &text[at..]) {
        let line = &text[at..at + length];
        at += length + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if event != Event::default() {
                sink.event(&event);
            }
            event = Event::default();
            done = at;
        } else {
            field(line, &mut event);
        }
    }
    done
}

#[inline]
fn field<'a>(line: &'a [u8], event: &mut Event<'a>) {
    if let Some(value) = value(line, b"data:") {
        event.data.get_or_insert(value);
    } else if let Some(value) = value(line, b"id:") {
        event.id = Some(value);
    } else if let Some(value) = value(line, b"event:") {
        event.kind = Some(value);
    } else if let Some(ms) = value(line, b"retry:") {
        event.retry_ms = std::str::from_utf8(ms).ok().and_then(|ms| ms.parse().ok());
    }
}

#[inline]
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
