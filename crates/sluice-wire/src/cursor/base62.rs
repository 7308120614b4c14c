//! Numbers in base 62, the digits in ASCII order so that numbers of one width sort as their texts do. A
//! number has exactly one text; every other text of it is refused.

use std::fmt;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Enough for every 64-bit number.
const WIDTH_MAX: usize = 11;

/// Writes `number` without leading zeros.
pub(super) fn write_number(number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_fixed(number, 1, f)
}

/// Writes `number` with leading zeros up to `width` digits, of which there are at most 11.
pub(super) fn write_fixed(number: u64, width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [b'0'; WIDTH_MAX];
    let mut start = WIDTH_MAX;
    let mut rest = number;
    while rest != 0 {
        start -= 1;
        let digit = usize::try_from(rest % 62).map_err(|_| fmt::Error)?;
        text[start] = DIGITS[digit];
        rest /= 62;
    }
    let start = start.min(WIDTH_MAX - width);
    f.write_str(str::from_utf8(&text[start..]).map_err(|_| fmt::Error)?)
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

    struct Text(u64, usize);

    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_fixed(self.0, self.1, f)
        }
    }

    #[test]
    fn writes_and_reads_back() {
        for (number, text) in [(0, "0"), (9, "9"), (10, "A"), (35, "Z"), (36, "a"), (61, "z"), (62, "10")] {
            assert_eq!(Text(number, 1).to_string(), text);
            assert_eq!(split_number(text.as_bytes()), Some((number, &b""[..])));
        }
        assert_eq!(Text(u64::MAX, 1).to_string(), "LygHa16AHYF");
        assert_eq!(read(b"LygHa16AHYF"), Some(u64::MAX));
        assert_eq!(Text(62, 6).to_string(), "000010");
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
