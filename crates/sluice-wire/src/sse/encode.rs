//! Frames: one event or control message as it goes over the wire. A frame is encoded once and then shared by
//! every stream that gets it, HTTP/1.1 chunk envelope included, so a stream costs no byte of its own.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use memchr::memchr2;

use super::head::{CHUNK_END, IdLine, size_line_len, write_size_line};
use super::{CURSOR_EVENT_TYPE, DEFAULT_EVENT_TYPE};
use crate::cursor::Cursor;
use crate::{EventId, EventType};

/// One event or control message, encoded. Immutable; a clone shares the bytes.
///
/// ```text
/// 1f\r\nid: 17-0\nevent: a\ndata: x\ndata: y\n\n\r\n
/// [---- chunk ------------------------------------]
///       [---- payload -----------------------]
///                 [---- tail --------------------]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    chunk: Bytes,
    payload_at: usize,
    tail_at: usize,
}

impl Frame {
    /// An event. Its type is left out when it is the browser's default, `message`.
    ///
    /// `data` is split into lines at LF, CR and CRLF alike, since a reader would end a field at any of them;
    /// it reads the lines back joined by LF.
    #[must_use]
    pub fn event(id: Option<EventId>, event_type: Option<&EventType>, data: &str) -> Self {
        let event_type = event_type.map(EventType::as_str).filter(|text| *text != DEFAULT_EVENT_TYPE);
        let fields = Fields { id: id.as_ref().map(|id| id as &dyn Display), retry: None, event_type };
        fields.with_lines(Lines::new(b"data:", data))
    }

    /// The first frame of a stream: how long to wait before reconnecting, and where to resume if that happens
    /// before the first event. Has no data, so no event fires.
    #[must_use]
    pub fn opening(retry: Duration, cursor: Option<&Cursor>) -> Self {
        let cursor = cursor.map(|cursor| cursor as &dyn Display);
        Fields { id: cursor, retry: Some(retry), event_type: None }.without_data()
    }

    /// Moves the client's cursor without firing an event.
    #[must_use]
    pub fn checkpoint(cursor: &Cursor) -> Self {
        Fields { id: Some(cursor), retry: None, event_type: None }.without_data()
    }

    /// Moves the client's cursor as [`Frame::opening`] (with a `retry`) or [`Frame::checkpoint`] does, and fires an event
    /// with it, so that a script can read the cursor from `event.lastEventId` before the first event of a topic.
    #[must_use]
    pub fn cursor_event(retry: Option<Duration>, cursor: &Cursor) -> Self {
        Fields { id: Some(cursor), retry, event_type: Some(CURSOR_EVENT_TYPE) }
            .with_lines(Lines::new(b"data:", "{}"))
    }

    /// A comment, which clients pass over: a heartbeat. Each line of `text` becomes a comment line.
    #[must_use]
    pub fn comment(text: &str) -> Self {
        Fields::default().with_lines(Lines::new(b":", text))
    }

    /// An event of Sluice itself, such as `sluice.gap`. Never has an id: it leaves the client's cursor alone.
    ///
    /// `event_type` comes from Sluice's own code. Should it hold a control character all the same, it is
    /// replaced, so that no other field can come of it.
    #[must_use]
    pub fn control(event_type: &str, json: &str, retry: Option<Duration>) -> Self {
        debug_assert!(
            !event_type.contains(char::is_control),
            "a control event's type is a constant without control characters"
        );
        let event_type = field_safe(event_type);
        Fields { id: None, retry, event_type: Some(&event_type) }.with_lines(Lines::new(b"data:", json))
    }

    /// An event of Sluice itself that is a whole response. It says the client's cursor again: a reader forgets the
    /// one it has with the first event of a response that named none (HTML, "dispatch the event", step 1).
    #[must_use]
    pub fn refusal(event_type: &str, json: &str, retry: Duration, cursor: Option<&str>) -> Self {
        let event_type = field_safe(event_type);
        let id = cursor.as_ref().map(|cursor| cursor as &dyn Display);
        Fields { id, retry: Some(retry), event_type: Some(&event_type) }
            .with_lines(Lines::new(b"data:", json))
    }

    /// The whole HTTP/1.1 chunk: `<size in hex>\r\n<payload>\r\n`.
    #[must_use]
    pub fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// The event-stream text alone, for HTTP/1.0 and HTTP/2.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.chunk.slice(self.payload_at..self.chunk.len() - CHUNK_END.len())
    }

    /// What stands behind the `id:` line, up to and including the end of the chunk: behind a [`head`] of
    /// its length it is the same event under another id. All of payload and chunk end when there is no id.
    ///
    /// [`head`]: super::head()
    #[must_use]
    pub fn tail(&self) -> Bytes {
        self.chunk.slice(self.tail_at..)
    }

    /// [`Frame::payload`] without counting a reference.
    #[must_use]
    pub fn payload_bytes(&self) -> &[u8] {
        &self.chunk[self.payload_at..self.chunk.len() - CHUNK_END.len()]
    }

    /// [`Frame::tail`] without counting a reference.
    #[must_use]
    pub fn tail_bytes(&self) -> &[u8] {
        &self.chunk[self.tail_at..]
    }

    /// [`Frame::tail_bytes`] without the end of the chunk: what stands behind a head's payload.
    #[must_use]
    pub fn tail_payload_bytes(&self) -> &[u8] {
        &self.chunk[self.tail_at..self.chunk.len() - CHUNK_END.len()]
    }
}

/// What may stand in a frame before its data.
#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a dyn Display>,
    retry: Option<Duration>,
    event_type: Option<&'a str>,
}

impl Fields<'_> {
    fn without_data(&self) -> Frame {
        self.begin(Lines::NONE).finish()
    }

    fn with_lines(&self, lines: Lines<'_>) -> Frame {
        let mut frame = self.begin(lines);
        frame.lines(lines);
        frame.finish()
    }

    /// Writes the fields, with room for `lines` behind them.
    fn begin(&self, lines: Lines<'_>) -> Unfinished {
        let retry = self.retry.map_or_else(String::new, |retry| format!("retry: {}\n", retry.as_millis()));
        let mut id = IdLine::default();
        if let Some(value) = self.id {
            id.write(value);
        }
        let event_type = self.event_type.map_or(0, |text| EVENT.len() + text.len() + LINE_END.len());
        let fields = retry.len() + id.as_bytes().len() + event_type + LINE_END.len();
        let mut frame = Unfinished::new(fields + lines.room(), fields + lines.room_max());
        frame.bytes.extend_from_slice(retry.as_bytes());
        frame.bytes.extend_from_slice(id.as_bytes());
        if self.id.is_some() {
            frame.tail_at = frame.bytes.len();
        }
        if let Some(text) = self.event_type {
            frame.bytes.extend_from_slice(EVENT);
            frame.bytes.extend_from_slice(text.as_bytes());
            frame.bytes.extend_from_slice(LINE_END);
        }
        frame
    }
}

const EVENT: &[u8] = b"event: ";
const LINE_END: &[u8] = b"\n";

/// A text to be written as one field, or comment, a line.
#[derive(Clone, Copy)]
struct Lines<'a> {
    /// What stands before each line, its colon included; the space behind it is left out of empty lines.
    field: &'static [u8],
    text: &'a [u8],
    /// Where the first line ends; known before the frame has its memory, so that it gets the right amount.
    first_break: Option<usize>,
}

impl<'a> Lines<'a> {
    const NONE: Self = Self { field: b"", text: b"", first_break: None };

    fn new(field: &'static [u8], text: &'a str) -> Self {
        let text = text.as_bytes();
        Self { field, text, first_break: next_break(text) }
    }

    /// The bytes of a single line exactly; for several what is enough for lines of two dozen bytes on
    /// average, shorter ones cost a reallocation.
    fn room(&self) -> usize {
        let single = self.field.len() + 1 + self.text.len() + LINE_END.len();
        self.first_break.map_or(single, |_| single + self.text.len() / 4 + 64)
    }

    /// The bytes that it cannot exceed: those of nothing but line breaks.
    fn room_max(&self) -> usize {
        let single = self.room();
        self.first_break.map_or(single, |_| single + self.text.len() * (self.field.len() + 1))
    }
}

/// Where the line ends with which `text` begins: at LF, CR or CRLF. At nothing else: U+2028, NEL, VT and FF
/// are text to a reader of event streams.
fn next_break(text: &[u8]) -> Option<usize> {
    memchr2(b'\n', b'\r', text)
}

/// A frame being written: room for the size line, then the payload so far.
struct Unfinished {
    bytes: Vec<u8>,
    room: usize,
    tail_at: usize,
}

impl Unfinished {
    /// For a payload of about `expected` and at most `most` bytes.
    fn new(expected: usize, most: usize) -> Self {
        let room = size_line_len(most);
        let mut bytes = Vec::with_capacity(room + expected + CHUNK_END.len());
        bytes.resize(room, b'0');
        Self { bytes, room, tail_at: room }
    }

    fn lines(&mut self, lines: Lines<'_>) {
        let mut rest = lines.text;
        let mut line_break = lines.first_break;
        loop {
            let line = &rest[..line_break.unwrap_or(rest.len())];
            self.bytes.extend_from_slice(lines.field);
            if !line.is_empty() {
                self.bytes.push(b' ');
                self.bytes.extend_from_slice(line);
            }
            self.bytes.extend_from_slice(LINE_END);
            let Some(end) = line_break else { return };
            let crlf = rest[end..].starts_with(b"\r\n");
            rest = &rest[end + 1 + usize::from(crlf)..];
            line_break = next_break(rest);
        }
    }

    fn finish(mut self) -> Frame {
        self.bytes.extend_from_slice(LINE_END);
        let payload = self.bytes.len() - self.room;
        let start = write_size_line(&mut self.bytes[..self.room], payload);
        self.bytes.extend_from_slice(CHUNK_END);
        let chunk = Bytes::from(self.bytes);
        Frame { chunk: chunk.slice(start..), payload_at: self.room - start, tail_at: self.tail_at - start }
    }
}

/// `text` with its control characters replaced, when there are any.
fn field_safe(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests;
