//! Numbers in base 62, the digits in ASCII order so that numbers of one width sort as their texts do. A
//! number has exactly one text; every other text of it is refused.

use std::fmt;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Enough for every 64-bit number.
pub(super) const WIDTH_MAX: usize = 11;

/// Numbers and marks in a row, put together on the stack: room for three numbers and three marks.
pub(super) struct Text {
    bytes: [u8; Self::ROOM],
    len: usize,
}

impl Text {
    const ROOM: usize = 3 * (WIDTH_MAX + 1);

    pub(super) fn new() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0 }
    }

    /// Adds an ASCII character between numbers.
    pub(super) fn mark(&mut self, mark: u8) -> &mut Self {
        self.bytes[self.len] = mark;
        self.len += 1;
        self
    }

    /// Adds `number` without leading zeros.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.fixed(number, number.checked_ilog(62).map_or(1, |highest| highest as usize + 1))
    }

    /// Adds the last `width` digits of `number`.
    pub(super) fn fixed(&mut self, number: u64, width: usize) -> &mut Self {
        let end = self.len + width;
        let mut rest = number;
        for place in self.bytes[self.len..end].iter_mut().rev() {
            *place = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        self.len = end;
        self
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.bytes[..self.len]).map_err(|_| fmt::Error)?)
    }
}

/// Takes the number off the front of `text`; `None` when there is none, or it has a leading zero, or it does
/// not fit.
pub(super) fn split_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let width = text.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(width);
    let canonical = match digits {
        [] => false,
        [b'0', more @ ..] => more.is_empty(),
        _ => true,
    };
    if canonical { Some((read(digits)?, rest)) } else { None }
}

/// The number of which `digits` are all digits, leading zeros included.
pub(super) fn read(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(62)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &Text) -> String {
        fmt::from_fn(|f| text.write(f)).to_string()
    }

    fn number(number: u64) -> String {
        written(Text::new().number(number))
    }

    #[test]
    fn writes_and_reads_back() {
        for (value, text) in [(0, "0"), (9, "9"), (10, "A"), (35, "Z"), (36, "a"), (61, "z"), (62, "10")] {
            assert_eq!(number(value), text);
            assert_eq!(split_number(text.as_bytes()), Some((value, &b""[..])));
        }
        assert_eq!(number(u64::MAX), "LygHa16AHYF");
        assert_eq!(read(b"LygHa16AHYF"), Some(u64::MAX));
        assert_eq!(written(Text::new().fixed(62, 6)), "000010");
        assert_eq!(read(b"000010"), Some(62));
    }

    #[test]
    fn refuses_other_texts_of_a_number() {
        for text in ["", "00", "01", "-", "LygHa16AHYG", "zzzzzzzzzzzz"] {
            assert_eq!(split_number(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(read("1é".as_bytes()), None);
    }
}
