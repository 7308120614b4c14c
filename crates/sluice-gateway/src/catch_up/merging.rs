//! What was read of several topics, in the order in which the client would have seen it live.

use sluice_fanout::{Fence, Framing, RingFrame, Step};
use sluice_wire::sse::head;

use super::CatchUp;
use super::source::Item;
use crate::control;

impl CatchUp {
    /// Takes items off the sources, oldest first, as long as it is known which is the oldest.
    pub(super) fn merge(&mut self, fence: &Fence, bytes_max: usize) -> Vec<RingFrame> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            let unsure = self.sources.iter().zip(&fence.positions).any(|(s, to)| s.is_thirsty(*to));
            let next = self.sources.iter().enumerate().filter_map(|(i, s)| Some((s.peek()?, i))).min();
            let Some((_, index)) = next.filter(|_| !unsure) else { break };
            let from = self.sources[index].position();
            let Some(item) = self.sources[index].take() else { break };
            if let Item::Gap(gap) = &item {
                // Counted here, since a page that nobody took is read again.
                self.hub.tallies().gap(gap.reason);
                self.floor_ms = self.floor_ms.min(gap.to.complete_ms());
            }
            let before = frames.len();
            let step = u16::try_from(index).ok().map(|index| Step { index, from, to: item.position() });
            self.push_frames(&item, step, &mut frames);
            bytes += frames[before..].iter().map(|frame| frame.len(Framing::Chunked)).sum::<usize>();
        }
        frames
    }

    fn push_frames(&self, item: &Item, step: Option<Step>, frames: &mut Vec<RingFrame>) {
        match item {
            Item::Event(_, frame) if self.sources.len() == 1 => {
                frames.push(RingFrame::whole(frame.clone(), step));
            }
            Item::Event(_, frame) => {
                let head = head(&self.cursor(), frame.tail_bytes().len());
                frames.push(RingFrame::headed(head, frame.clone(), step));
            }
            Item::Gap(gap) => {
                frames.push(RingFrame::whole(control::gap(gap), None));
                // The cursor moves over the gap, so that a client that leaves now is not told again.
                frames.push(RingFrame::whole(self.set.projection().checkpoint(&self.cursor()), step));
            }
        }
    }
}
