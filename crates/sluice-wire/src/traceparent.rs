//! The `traceparent` of W3C Trace Context: which trace an event belongs to, and behind which span. It stands
//! in HTTP requests, in the `tp` field of log entries and in envelopes.
//!
//! Source: W3C Trace Context, sections 3.2 and 4.3.

use std::fmt;

/// A span of some trace, as it is named to the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace; never all zero.
    pub trace_id: [u8; 16],
    /// The span within it; never all zero.
    pub span_id: [u8; 8],
    /// Bit 0: the trace is recorded. The other bits have no meaning yet and are carried along.
    pub flags: u8,
}

/// The length of a `traceparent` of version 00.
const LEN: usize = 55;

impl TraceParent {
    /// Reads a header or field; `None` for anything that is no `traceparent`. Of later versions, which may
    /// append fields, the part that every version has is read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let (head, rest) = text.split_at_checked(LEN)?;
        if [head[2], head[35], head[52]] != *b"---" {
            return None;
        }
        let [version] = bytes(&head[..2])?;
        let ends = rest.is_empty() || (version != 0 && rest[0] == b'-');
        let trace_id = bytes(&head[3..35]).filter(|id| *id != [0; 16])?;
        let span_id = bytes(&head[36..52]).filter(|id| *id != [0; 8])?;
        let [flags] = bytes(&head[53..])?;
        (ends && version != 0xff).then_some(Self { trace_id, span_id, flags })
    }

    /// Whether whoever began the trace records it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags } = self;
        let (trace_id, span_id) = (u128::from_be_bytes(*trace_id), u64::from_be_bytes(*span_id));
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

/// The bytes that `hex` spells in lower case.
fn bytes<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (hex.len() == 2 * N).then_some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_the_same() {
        let read = TraceParent::parse(GOOD).unwrap();
        assert_eq!((read.trace_id[0], read.span_id[7], read.flags), (0x4b, 0xb7, 1));
        assert_eq!(read.to_string(), GOOD);
        assert!(read.is_sampled());
        let unsampled = GOOD.replace("-01", "-00");
        assert!(!TraceParent::parse(&unsampled).unwrap().is_sampled());
        let later = format!("cc{}-more", &GOOD[2..]);
        assert_eq!(TraceParent::parse(&later), Some(read));
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &format!("cc{}x", &GOOD[2..]),
            &format!("ff{}", &GOOD[2..]),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf9", "4bé"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
