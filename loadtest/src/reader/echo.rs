//! Recognising what was read before. The streams of one topic receive the same bytes, so most frames that come
//! from a stream have just come from another: they are compared, not parsed. Every byte is still looked at, and
//! every stream's events are still checked one by one; only the parsing is done once for all of them.
//!
//! A frame here is one chunk that holds one whole event of a load. Anything else ends the echo's part and is
//! left to the reader.

use std::ops::Range;

use super::{Event, Sink, events};
use crate::payload::Stamp;

/// Frames that are remembered; more than a stream is usually behind.
const FRAMES_MAX: usize = 512;

/// A frame that was parsed.
#[derive(Debug, Clone)]
struct Frame {
    start: usize,
    end: usize,
    stamp: Stamp,
    /// Where its id stands, from the frame's start.
    id: Range<usize>,
}

/// The frames that came last, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

/// What an echo took from the front of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// How many bytes it took.
    pub(crate) bytes: usize,
    /// Where the id of the last event stands in them.
    pub(crate) id: Range<usize>,
}

impl Echo {
    /// Takes whole frames from the front of `bytes`, which begin between two chunks, and tells each event.
    #[inline]
    pub(crate) fn hear(&mut self, bytes: &[u8], mut each: impl FnMut(Stamp)) -> Heard {
        let mut heard = Heard::default();
        let mut next =
            self.frames.iter().position(|frame| self.is_at(frame, bytes)).unwrap_or(self.frames.len());
        loop {
            let rest = &bytes[heard.bytes..];
            if let Some(frame) = self.frames.get(next).filter(|frame| self.is_at(frame, rest)) {
                each(frame.stamp);
                heard.id = heard.bytes + frame.id.start..heard.bytes + frame.id.end;
                heard.bytes += frame.end - frame.start;
            } else {
                let Some((frame, id)) = parse(rest) else { return heard };
                if next < self.frames.len() || heard.bytes == 0 || next >= FRAMES_MAX {
                    // Another topic, or the memory is full: what is remembered is of no more use.
                    self.frames.clear();
                    self.bytes.clear();
                    next = 0;
                }
                each(frame.stamp);
                self.bytes.extend_from_slice(&rest[..frame.end]);
                let start = self.bytes.len() - frame.end;
                heard.id = heard.bytes + id.start..heard.bytes + id.end;
                heard.bytes += frame.end;
                self.frames.push(Frame { start, end: start + frame.end, ..frame });
            }
            next += 1;
        }
    }

    #[inline]
    fn is_at(&self, frame: &Frame, bytes: &[u8]) -> bool {
        bytes.starts_with(&self.bytes[frame.start..frame.end])
    }
}

/// A frame at the front of `bytes`, as if it began at 0, and where its id stands.
fn parse(bytes: &[u8]) -> Option<(Frame, Range<usize>)> {
    let line_end = memchr::memchr(b'\n', &bytes[..bytes.len().min(10)])?;
    let size = std::str::from_utf8(bytes[..line_end].strip_suffix(b"\r")?).ok()?;
    let size = usize::from_str_radix(size, 16).ok().filter(|size| *size > 0)?;
    let payload = bytes.get(line_end + 1..)?.get(..size)?;
    let end = line_end + 1 + size + 2;
    bytes.get(end - 2..end).filter(|end| *end == b"\r\n")?;
    let mut only = Only { text: payload, count: 0, found: None };
    if events::scan(payload, &mut only) != payload.len() || only.count != 1 {
        return None;
    }
    let (stamp, id) = only.found?;
    let id = line_end + 1 + id.start..line_end + 1 + id.end;
    Some((Frame { start: 0, end, stamp, id: id.clone() }, id))
}

/// Takes the only event of a text, if it is a load's and has an id.
struct Only<'t> {
    text: &'t [u8],
    count: usize,
    found: Option<(Stamp, Range<usize>)>,
}

impl Sink for Only<'_> {
    fn head(&mut self, _: u16) {}

    fn event(&mut self, event: &Event<'_>) {
        self.count += 1;
        let Event { id: Some(id), kind: None, data: Some(data), retry_ms: None } = *event else { return };
        let at = memchr::memmem::find(self.text, id).unwrap_or(0);
        self.found = Stamp::read(data).map(|stamp| (stamp, at..at + id.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Vec<u8> {
        let mut data = Vec::new();
        Stamp { topic: 1, number, at_ns: 5 }.write(64, &mut data);
        let text = format!("id: 17-{number}\ndata: {}\n\n", String::from_utf8(data).unwrap());
        format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
    }

    fn frames(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| frame(*number)).collect()
    }

    /// The numbers that `echo` finds in `bytes`, the id of the last, and how many bytes it leaves.
    fn hear(echo: &mut Echo, bytes: &[u8]) -> (Vec<u64>, String, usize) {
        let mut numbers = Vec::new();
        let heard = echo.hear(bytes, |stamp| numbers.push(stamp.number));
        let id = String::from_utf8(bytes[heard.id].to_vec()).unwrap();
        (numbers, id, bytes.len() - heard.bytes)
    }

    #[test]
    fn hears_the_same_whatever_it_heard_before() {
        let mut echo = Echo::default();
        let runs: [&[u64]; 8] =
            [&[1, 2, 3], &[1, 2, 3], &[2, 3], &[3, 4], &[1, 3], &[3, 2, 2], &[9], &[1, 2, 3, 4, 5]];
        for _ in 0..3 {
            for run in runs {
                let id = format!("17-{}", run[run.len() - 1]);
                assert_eq!(hear(&mut echo, &frames(run)), (run.to_vec(), id, 0));
            }
        }
    }

    #[test]
    fn leaves_what_is_no_whole_frame_to_the_reader() {
        let mut echo = Echo::default();
        let whole = frames(&[1, 2]);
        for cut in 1..frame(2).len() {
            let (numbers, _, left) = hear(&mut echo, &whole[..whole.len() - cut]);
            assert_eq!((numbers, left), (vec![1], frame(2).len() - cut));
        }
        for other in ["5\r\n: hi\n\r\n", "0\r\n\r\n", "b\r\ndata: 1 2\n\n\r\n", "zz", ""] {
            assert_eq!(hear(&mut echo, other.as_bytes()), (vec![], String::new(), other.len()));
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut echo = Echo::default();
        for number in 0..3 * FRAMES_MAX as u64 {
            hear(&mut echo, &frames(&[number, number + 1]));
        }
        let numbers: Vec<u64> = (0..3 * FRAMES_MAX as u64).collect();
        assert_eq!(hear(&mut echo, &frames(&numbers)).0, numbers);
        assert!(echo.frames.len() <= FRAMES_MAX);
    }
}
