//! What an event of a load carries: the number of its topic, its own running number in that topic, and the
//! moment of its publication, as decimal text filled up with `x` to the size asked for. It holds no line
//! break, so that an event is always one `data:` line.

use std::io::Write as _;

/// The smallest payload in bytes: three numbers of any size and the spaces between them.
pub(crate) const SIZE_MIN: usize = 56;

/// The identity of one published event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The topic's index in the part's table of topics.
    pub(crate) topic: u32,
    /// 1 for the first event of a topic, then without holes.
    pub(crate) number: u64,
    /// When it was handed to the server, by `clock::monotonic_ns`.
    pub(crate) at_ns: u64,
}

impl Stamp {
    /// Appends the payload of `size` bytes to `out`.
    pub(crate) fn write(&self, size: usize, out: &mut Vec<u8>) {
        let start = out.len();
        // Writing into a Vec cannot fail.
        let _ = write!(out, "{} {} {} ", self.topic, self.number, self.at_ns);
        out.resize(out.len().max(start + size), b'x');
    }

    /// Reads what [`Stamp::write`] wrote; `None` for anything else.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let (topic, rest) = decimal(data)?;
        let (number, rest) = decimal(rest)?;
        let (at_ns, _) = decimal(rest)?;
        Some(Self { topic: u32::try_from(topic).ok()?, number, at_ns })
    }
}

/// A decimal number, the space behind it taken off the rest.
fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b' ' if at > 0 => return Some((value, &text[at + 1..])),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (size, number) in [(SIZE_MIN, 1), (64, 123_456), (300, u64::MAX)] {
            let stamp = Stamp { topic: 7, number, at_ns: u64::MAX };
            let mut text = Vec::new();
            stamp.write(size, &mut text);
            assert_eq!(text.len(), size);
            assert_eq!(Stamp::read(&text), Some(stamp));
        }
    }

    #[test]
    fn the_largest_numbers_fit_the_smallest_size() {
        let mut text = Vec::new();
        Stamp { topic: u32::MAX, number: u64::MAX, at_ns: u64::MAX }.write(SIZE_MIN, &mut text);
        assert_eq!(text.len(), SIZE_MIN);
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "hello", "1 2", "1 2 x", " 1 2 3 ", "99999999999 1 1 ", "1 99999999999999999999999 1 "]
        {
            assert_eq!(Stamp::read(text.as_bytes()), None, "{text:?}");
        }
    }
}
