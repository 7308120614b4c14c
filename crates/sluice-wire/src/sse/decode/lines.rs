//! Bytes into lines, ended by LF, CR or CRLF wherever the input is split. Lines that lie within one piece of
//! input are handed on in place; only the part of a line that a piece ends with is kept.

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
pub(super) struct Lines {
    bytes_max: usize,
    /// The beginning of a line whose end has not come; never longer than `bytes_max`.
    partial: Vec<u8>,
    state: State,
    /// The last byte was a CR: an LF that comes first belongs to it.
    after_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of the stream have come, all of them of a byte order mark.
    Start(usize),
    Line,
    /// The line is too long and told so; its end is awaited.
    Overlong,
}

impl Lines {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, partial: Vec::new(), state: State::Start(0), after_cr: false }
    }

    /// Calls `each` with every line that `bytes` complete, without its end; with `None`, at once, for a line
    /// longer than the limit.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Option<&[u8]>)) {
        let mut rest = self.behind_mark(bytes);
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                return self.keep(rest, &mut each);
            };
            self.complete(&rest[..end], &mut each);
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
    }

    /// Passes over a byte order mark at the start of the stream.
    fn behind_mark<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Start(seen) = self.state else { return bytes };
        let awaited = &BYTE_ORDER_MARK[seen..];
        let common = awaited.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        if common == awaited.len() {
            self.state = State::Line;
        } else if common == bytes.len() {
            self.state = State::Start(seen + common);
        } else {
            // It was none: what earlier pieces brought of it begins the first line.
            self.state = State::Line;
            self.partial.extend_from_slice(&BYTE_ORDER_MARK[..seen]);
            return bytes;
        }
        &bytes[common..]
    }

    fn keep(&mut self, part: &[u8], each: &mut impl FnMut(Option<&[u8]>)) {
        if self.state == State::Overlong {
            return;
        }
        if self.partial.len() + part.len() > self.bytes_max {
            self.state = State::Overlong;
            self.partial = Vec::new();
            each(None);
        } else {
            self.partial.extend_from_slice(part);
        }
    }

    fn complete(&mut self, part: &[u8], each: &mut impl FnMut(Option<&[u8]>)) {
        if self.state == State::Overlong {
            self.state = State::Line;
        } else if self.partial.len() + part.len() > self.bytes_max {
            self.partial.clear();
            each(None);
        } else if self.partial.is_empty() {
            each(Some(part));
        } else {
            self.partial.extend_from_slice(part);
            each(Some(&self.partial));
            self.partial.clear();
        }
    }
}
