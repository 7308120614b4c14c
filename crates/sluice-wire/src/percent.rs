//! Percent-encoding, for the envelope's values and for topics in paths: no encoded value holds a space, a line
//! break or any other byte that could end its field.

use bytes::Bytes;
use bytestring::ByteString;
use memchr::memchr;

/// Appends `value` to `out`; space, `%`, control characters and bytes beyond ASCII as `%XX`.
pub(crate) fn encode(value: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The value that `text` encodes; a slice of it when nothing in it is encoded. `None` when a `%` is not
/// followed by two hexadecimal digits or the result is not UTF-8.
pub(crate) fn decode(text: &Bytes) -> Option<ByteString> {
    let Some(first) = memchr(b'%', text) else {
        return ByteString::try_from(text.clone()).ok();
    };
    let mut value = Vec::with_capacity(text.len());
    value.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some((&byte, behind)) = rest.split_first() {
        if byte == b'%' {
            let (digits, behind) = behind.split_at_checked(2)?;
            value.push(digit(digits[0])? << 4 | digit(digits[1])?);
            rest = behind;
        } else {
            value.push(byte);
            rest = behind;
        }
    }
    ByteString::try_from(value).ok()
}

fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'A'..=b'F' => Some(hex - b'A' + 10),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_could_end_a_field() {
        let mut out = Vec::new();
        encode("a b%\n\0\u{7f}é=~", &mut out);
        assert_eq!(out, b"a%20b%25%0A%00%7F%C3%A9=~");
        assert_eq!(decode(&Bytes::from(out)).unwrap(), "a b%\n\0\u{7f}é=~");
    }

    #[test]
    fn refuses_half_an_escape_and_broken_text() {
        for text in ["%", "%4", "%4g", "a%", "%+1", "%C3"] {
            assert_eq!(decode(&Bytes::from(text)), None, "{text:?}");
        }
        assert_eq!(decode(&Bytes::from_static(b"\xff")), None);
    }

    #[test]
    fn shares_what_is_not_encoded() {
        let text = Bytes::from_static(b"order.created");
        assert_eq!(decode(&text).unwrap().as_ptr(), text.as_ptr());
    }
}
