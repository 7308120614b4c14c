//! Cuts a body into lines as it comes, holding at most one line: pure, so that it can be shown to cut the same
//! wherever the chunks are split.

use bytes::{Buf, Bytes, BytesMut};

/// An incremental splitter.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line feed.
    scanned: usize,
    /// The line under way was already reported as too long.
    skipping: bool,
    line_bytes_max: usize,
}

/// A line without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line.
    Whole(Bytes),
    /// A line longer than the limit, reported once, at once, and dropped as it comes.
    TooLong,
}

impl Lines {
    pub(super) fn new(line_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, skipping: false, line_bytes_max }
    }

    /// Takes the next part of the body. Call [`Lines::next`] until `None` before the next part.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next line that is whole or known to be too long.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return self.too_long_already();
            };
            let line = self.buffer.split_to(self.scanned + end);
            self.buffer.advance(1);
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(self.whole(line));
        }
    }

    /// What stands behind the last line feed, when the body has ended properly.
    pub(super) fn finish(&mut self) -> Option<Line> {
        if self.skipping || self.buffer.is_empty() {
            return None;
        }
        let line = self.buffer.split();
        Some(self.whole(line))
    }

    fn too_long_already(&mut self) -> Option<Line> {
        // One more byte than the limit may be the CR of a line's end.
        if !self.skipping && self.buffer.len() <= self.line_bytes_max + 1 {
            return None;
        }
        self.buffer.clear();
        self.scanned = 0;
        (!std::mem::replace(&mut self.skipping, true)).then_some(Line::TooLong)
    }

    fn whole(&self, mut line: BytesMut) -> Line {
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.line_bytes_max { Line::TooLong } else { Line::Whole(line.freeze()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Line> {
        let mut lines = Lines::new(5);
        let mut cut = Vec::new();
        for chunk in chunks {
            lines.feed(chunk);
            cut.extend(std::iter::from_fn(|| lines.next()));
        }
        cut.extend(lines.finish());
        cut
    }

    const BODY: &[u8] = b"one\n\n12345\n123456\r\n12345\r\na\rb\n much too long \nlast";

    #[test]
    fn lines_end_at_lf_or_crlf() {
        let whole = |text: &'static str| Line::Whole(text.into());
        let expected = [
            whole("one"),
            whole(""),
            whole("12345"),
            Line::TooLong,
            whole("12345"),
            whole("a\rb"),
            Line::TooLong,
            whole("last"),
        ];
        assert_eq!(cut([BODY]), expected);
        assert_eq!(cut([&b"a\n"[..]]), [whole("a")]);
        assert_eq!(cut([&b"123456"[..]]), [Line::TooLong]);
        assert_eq!(cut([]), []);
    }

    #[test]
    fn splits_change_nothing() {
        let expected = cut([BODY]);
        assert_eq!(cut(BODY.chunks(1)), expected);
        for first in 0..=BODY.len() {
            for second in first..=BODY.len() {
                assert_eq!(cut([&BODY[..first], &BODY[first..second], &BODY[second..]]), expected);
            }
        }
    }

    #[test]
    fn an_endless_line_is_reported_once_and_not_kept() {
        let mut lines = Lines::new(5);
        let mut reported = 0;
        for _ in 0..1_000 {
            lines.feed(&[b'x'; 64]);
            reported += std::iter::from_fn(|| lines.next()).count();
            assert!(lines.buffer.is_empty());
        }
        assert_eq!((reported, lines.finish()), (1, None));
    }
}
