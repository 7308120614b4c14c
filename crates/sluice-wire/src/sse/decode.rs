//! The reader's side: the WHATWG algorithm for event streams, fed in pieces of any size. Where the input is
//! split never changes what is read; memory is bounded by the limit and each byte is looked at a fixed number
//! of times.

mod item;
mod lines;

pub use item::{Item, ItemRef, Received, ReceivedRef};

use lines::Lines;

use super::DEFAULT_EVENT_TYPE;

/// An incremental reader of one event stream.
///
/// Follows the standard to the letter, a byte order mark at the start, `retry` with digits only and `id` with
/// NUL ignored included. Bytes that are not UTF-8 are read as U+FFFD. An event that the stream ends in the
/// middle of is dropped, since only [`Decoder::feed`] returns events and only complete ones.
///
/// The standard has no limit, this reader has one: a line, or the data of one event, longer than
/// `bytes_max` abandons the event it belongs to. Everything up to the next empty line is passed over, the
/// event's id is not taken over (so that resuming does not skip it), and [`Item::Overlong`] tells.
#[derive(Debug)]
pub struct Decoder {
    lines: Lines,
    block: Block,
}

impl Decoder {
    /// The limit of [`Decoder::new`]: 64 times what a publisher may send by default.
    pub const BYTES_MAX: usize = 16 << 20;

    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(Self::BYTES_MAX)
    }

    /// A reader that takes lines, and events, of up to `bytes_max` bytes.
    #[must_use]
    pub fn with_limit(bytes_max: usize) -> Self {
        Self { lines: Lines::new(bytes_max), block: Block::new(bytes_max) }
    }

    /// Reads the next `bytes` of the stream and appends what they complete to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Item>) {
        self.feed_each(bytes, |item| out.push(item.into()));
    }

    /// Reads the next `bytes` of the stream and hands over what they complete, without allocating for it.
    pub fn feed_each(&mut self, bytes: &[u8], mut each: impl FnMut(ItemRef<'_>)) {
        let Self { lines, block } = self;
        lines.feed(bytes, |line| match line {
            Some(line) => block.line(line, &mut each),
            None => block.abandon(&mut each),
        });
    }

    /// The id to resume with: that of the last block that was complete. Empty when there was none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.block.last_event_id
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The lines since the last empty one.
#[derive(Debug)]
struct Block {
    bytes_max: usize,
    event_type: String,
    /// Each line with an LF behind it, as the standard has it: empty only if there was no `data` field.
    data: String,
    /// Counts only when `id_seen`.
    id: String,
    id_seen: bool,
    abandoned: bool,
    last_event_id: String,
}

impl Block {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            event_type: String::new(),
            data: String::new(),
            id: String::new(),
            id_seen: false,
            abandoned: false,
            last_event_id: String::new(),
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(ItemRef<'_>)) {
        if line.is_empty() {
            return self.end(each);
        }
        if self.abandoned {
            return;
        }
        let colon = memchr::memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or(&b""[..], |colon| &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => self.data(value, each),
            b"event" => {
                self.event_type.clear();
                push_lossy(&mut self.event_type, value);
            }
            b"id" if memchr::memchr(0, value).is_none() => {
                self.id_seen = true;
                self.id.clear();
                push_lossy(&mut self.id, value);
            }
            b"retry" => {
                if let Some(ms) = decimal(value) {
                    each(ItemRef::Retry(ms));
                }
            }
            b"" if colon.is_some() => each(ItemRef::Comment(&String::from_utf8_lossy(value))),
            _ => {}
        }
    }

    fn data(&mut self, value: &[u8], each: &mut impl FnMut(ItemRef<'_>)) {
        if self.data.len() + value.len() > self.bytes_max {
            return self.abandon(each);
        }
        push_lossy(&mut self.data, value);
        self.data.push('\n');
    }

    fn end(&mut self, each: &mut impl FnMut(ItemRef<'_>)) {
        self.abandoned = false;
        let moved = std::mem::take(&mut self.id_seen);
        if moved {
            std::mem::swap(&mut self.last_event_id, &mut self.id);
        }
        if let Some(data) = self.data.strip_suffix('\n') {
            let event_type = if self.event_type.is_empty() { DEFAULT_EVENT_TYPE } else { &self.event_type };
            each(ItemRef::Event(ReceivedRef { event_type, data, last_event_id: &self.last_event_id }));
        } else if moved {
            each(ItemRef::Id(&self.last_event_id));
        }
        self.clear();
    }

    /// Gives the block up; what follows of it is passed over.
    fn abandon(&mut self, each: &mut impl FnMut(ItemRef<'_>)) {
        if !self.abandoned {
            self.abandoned = true;
            self.id_seen = false;
            self.clear();
            each(ItemRef::Overlong);
        }
    }

    fn clear(&mut self) {
        self.event_type.clear();
        self.data.clear();
    }
}

/// Decodes as the standard wants the whole stream decoded. Line by line it comes to the same, since no byte of
/// a longer character is a line break.
fn push_lossy(text: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.push_str(&String::from_utf8_lossy(bytes)),
    }
}

/// The number of a `retry` field, the greatest there is when it does not fit; `None` unless all are digits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    all_digits.then(|| digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests;
