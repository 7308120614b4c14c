//! The text of a chunk, read without the decoder, and what the SSE standard makes of line breaks.

use bytes::Bytes;

/// The data of one HTTP/1.1 chunk, whose envelope must be exact.
pub(crate) fn unchunked(chunk: &[u8]) -> Bytes {
    let (size, rest) = chunk.split_at(chunk.windows(2).position(|pair| pair == b"\r\n").unwrap());
    let size = std::str::from_utf8(size).unwrap();
    assert_eq!(size, size.trim_start_matches('0'), "a size line of the right length");
    let length = usize::from_str_radix(size, 16).unwrap();
    let rest = &rest[2..];
    assert_eq!(&rest[length..], b"\r\n");
    Bytes::copy_from_slice(&rest[..length])
}

/// `text` with its line breaks as a client sees them.
pub(crate) fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
