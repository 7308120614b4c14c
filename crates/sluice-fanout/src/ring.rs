//! The ring of a feed: the frames that some stream may still need, numbered without gaps.
//!
//! Invariant: the ring holds exactly the frames `base..next`. It has no reader state: a stream is a sequence
//! number that it is asked about.

use std::collections::VecDeque;

use sluice_wire::EventId;
use sluice_wire::sse::{Frame, Head};

/// How frames are delimited on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// HTTP/1.1: each frame is a chunk.
    #[default]
    Chunked,
    /// HTTP/1.0, HTTP/2: the SSE text alone.
    Raw,
}

/// What a frame does to the position of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The topic, by its place in the set.
    pub index: u16,
    /// Where it stood before the frame.
    pub from: EventId,
    /// Where it stands behind it.
    pub to: EventId,
}

/// One frame as one feed sends it.
#[derive(Debug, Clone)]
pub struct RingFrame {
    /// The feed's own chunk size and `id:` line; `None` when the shared frame is sent whole.
    head: Option<Head>,
    frame: Frame,
    step: Option<Step>,
}

impl RingFrame {
    /// A frame that is sent as it is.
    #[must_use]
    pub fn whole(frame: Frame, step: Option<Step>) -> Self {
        Self { head: None, frame, step }
    }

    /// A frame whose body is shared and whose `id:` line is the feed's own.
    #[must_use]
    pub fn headed(head: Head, frame: Frame, step: Option<Step>) -> Self {
        Self { head: Some(head), frame, step }
    }

    /// The position that moves with this frame, if one does.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        self.step
    }

    /// The bytes to send, in two pieces of which the first may be empty.
    #[must_use]
    pub fn pieces(&self, framing: Framing) -> [&[u8]; 2] {
        match (&self.head, framing) {
            (None, Framing::Chunked) => [&[], self.frame.chunk()],
            (None, Framing::Raw) => [&[], self.frame.payload_bytes()],
            (Some(head), Framing::Chunked) => [head.chunk(), self.frame.tail_bytes()],
            (Some(head), Framing::Raw) => {
                [&head.chunk()[head.payload_at()..], self.frame.tail_payload_bytes()]
            }
        }
    }

    /// How many bytes [`RingFrame::pieces`] are.
    #[must_use]
    pub fn len(&self, framing: Framing) -> usize {
        self.pieces(framing).iter().map(|piece| piece.len()).sum()
    }

    /// Whether the frame has no bytes. No frame is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len(Framing::Raw) == 0
    }

    /// The bytes from `offset` on, appended to `out`.
    pub fn copy_from(&self, framing: Framing, offset: usize, out: &mut Vec<u8>) {
        let mut skip = offset;
        for piece in self.pieces(framing) {
            out.extend_from_slice(&piece[skip.min(piece.len())..]);
            skip = skip.saturating_sub(piece.len());
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ring {
    base: u64,
    frames: VecDeque<RingFrame>,
    bytes: usize,
}

impl Ring {
    /// The number of the oldest frame held, or of the next one when none is.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The number that the next frame will have.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.base + self.frames.len() as u64
    }

    /// How many frames are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The size of the frames held, as chunks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: RingFrame) {
        self.bytes += frame.len(Framing::Chunked);
        if self.frames.is_empty() {
            // Most rings hold one frame for a moment; growing from nothing would make room for four.
            self.frames.reserve_exact(1);
        }
        self.frames.push_back(frame);
    }

    /// Removes the oldest frame.
    pub fn evict(&mut self) -> Option<RingFrame> {
        let frame = self.frames.pop_front()?;
        self.base += 1;
        self.bytes -= frame.len(Framing::Chunked);
        Some(frame)
    }

    /// Forgets every frame and gives their memory back; the numbering goes on.
    pub fn clear(&mut self) {
        self.base = self.next();
        self.frames = VecDeque::new();
        self.bytes = 0;
    }

    /// The frame numbered `sequence`, if it is held.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&RingFrame> {
        let index = sequence.checked_sub(self.base)?;
        self.frames.get(usize::try_from(index).ok()?)
    }

    /// All frames, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &RingFrame> {
        self.frames.iter().rev()
    }

    /// The frames from `sequence` on; `None` when some of them are gone.
    pub fn since(&self, sequence: u64) -> Option<impl Iterator<Item = &RingFrame>> {
        let index = usize::try_from(sequence.checked_sub(self.base)?).ok()?;
        (index <= self.frames.len()).then(|| self.frames.range(index..))
    }
}

#[cfg(test)]
mod tests {
    use sluice_wire::sse::head;

    use super::*;

    fn frame(text: &str) -> RingFrame {
        RingFrame::whole(Frame::comment(text), None)
    }

    fn text(frame: &RingFrame, framing: Framing) -> String {
        let mut bytes = Vec::new();
        frame.copy_from(framing, 0, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn numbers_go_on_whatever_is_forgotten() {
        let mut ring = Ring::default();
        for text in ["a", "b", "c"] {
            ring.push(frame(text));
        }
        assert_eq!((ring.base(), ring.next(), ring.len()), (0, 3, 3));
        assert_eq!(text(&ring.evict().unwrap(), Framing::Raw), ": a\n\n");
        assert_eq!((ring.base(), ring.next(), ring.len()), (1, 3, 2));
        assert!(ring.get(0).is_none() && ring.get(1).is_some() && ring.get(3).is_none());
        ring.clear();
        assert_eq!((ring.base(), ring.next(), ring.bytes()), (3, 3, 0));
        assert!(ring.evict().is_none());
        ring.push(frame("d"));
        assert_eq!((ring.base(), ring.next()), (3, 4));
    }

    #[test]
    fn what_comes_behind_a_number_is_known_or_gone() {
        let mut ring = Ring::default();
        (0..5).for_each(|_| ring.push(frame("x")));
        ring.evict();
        let count = |sequence| ring.since(sequence).map(Iterator::count);
        assert_eq!(count(0), None, "gone");
        assert_eq!((count(1), count(4), count(5)), (Some(4), Some(1), Some(0)));
        assert_eq!(count(6), None, "not there yet");
    }

    #[test]
    fn bytes_are_those_of_the_chunks_held() {
        let mut ring = Ring::default();
        let (small, large) = (frame("x"), frame(&"y".repeat(1_000)));
        ring.push(small.clone());
        ring.push(large.clone());
        assert_eq!(ring.bytes(), small.len(Framing::Chunked) + large.len(Framing::Chunked));
        ring.evict();
        assert_eq!(ring.bytes(), large.len(Framing::Chunked));
    }

    #[test]
    fn a_head_takes_the_place_of_the_frames_own_id() {
        let shared = Frame::event(Some(EventId::at(7)), None, "data");
        let headed = RingFrame::headed(head(&"cursor", shared.tail_bytes().len()), shared.clone(), None);
        assert_eq!(text(&headed, Framing::Raw), "id: cursor\ndata: data\n\n");
        let payload = text(&headed, Framing::Raw);
        assert_eq!(text(&headed, Framing::Chunked), format!("{:x}\r\n{payload}\r\n", payload.len()));
        assert_eq!(text(&RingFrame::whole(shared, None), Framing::Raw), "id: 7-0\ndata: data\n\n");
    }

    #[test]
    fn the_rest_of_a_frame_begins_anywhere() {
        let shared = Frame::event(Some(EventId::at(7)), None, "data");
        let headed = RingFrame::headed(head(&"cursor", shared.tail_bytes().len()), shared, None);
        for framing in [Framing::Raw, Framing::Chunked] {
            let whole = text(&headed, framing);
            assert_eq!(whole.len(), headed.len(framing));
            for offset in 0..=whole.len() {
                let mut rest = Vec::new();
                headed.copy_from(framing, offset, &mut rest);
                assert_eq!(rest, &whole.as_bytes()[offset..]);
            }
        }
    }
}
