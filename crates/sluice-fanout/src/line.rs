//! The streams of a feed: a list through their slots, so that a feed costs two links and a stream two more.

use crate::slot::{Link, SlotKey, Slots};

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    first: Link,
    last: Link,
}

impl Default for Line {
    fn default() -> Self {
        Self { first: Link::END, last: Link::END }
    }
}

impl Line {
    /// The first stream.
    #[must_use]
    pub(crate) fn first(&self) -> Option<SlotKey> {
        self.first.get()
    }

    /// Whether there is no stream.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.first == Link::END
    }

    /// The link to the first stream.
    pub(crate) fn first_link(&self) -> Link {
        self.first
    }

    /// The stream behind `key`.
    pub(crate) fn after<S>(slots: &Slots<S>, key: SlotKey) -> Option<SlotKey> {
        Link::after(slots, key).get()
    }

    /// Appends a stream.
    pub(crate) fn push<S>(&mut self, slots: &mut Slots<S>, key: SlotKey) {
        let last = self.last;
        if let Some(slot) = slots.get_mut(key) {
            (slot.previous, slot.next) = (last, Link::END);
        }
        match last.get().and_then(|last| slots.get_mut(last)) {
            Some(slot) => slot.next = Link::to(key),
            None => self.first = Link::to(key),
        }
        self.last = Link::to(key);
    }

    /// Takes a stream out.
    pub(crate) fn remove<S>(&mut self, slots: &mut Slots<S>, key: SlotKey) {
        let Some((previous, next)) = slots.get(key).map(|slot| (slot.previous, slot.next)) else { return };
        match previous.get().and_then(|previous| slots.get_mut(previous)) {
            Some(slot) => slot.next = next,
            None => self.first = next,
        }
        match next.get().and_then(|next| slots.get_mut(next)) {
            Some(slot) => slot.previous = previous,
            None => self.last = previous,
        }
        if let Some(slot) = slots.get_mut(key) {
            (slot.previous, slot.next) = (Link::END, Link::END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::FeedId;

    #[test]
    fn a_line_keeps_its_order_through_any_removal() {
        let mut slots = Slots::new();
        let keys: Vec<_> = (0..5).map(|i| slots.insert(i, FeedId(0)).key).collect();
        let mut line = Line::default();
        keys.iter().for_each(|key| line.push(&mut slots, *key));
        let listed = |line: &Line, slots: &Slots<i32>| -> Vec<i32> {
            std::iter::successors(line.first(), |key| Line::after(slots, *key))
                .filter_map(|key| slots.get(key).and_then(|slot| slot.socket))
                .collect()
        };
        for (gone, left) in [(2, vec![0, 1, 3, 4]), (0, vec![1, 3, 4]), (4, vec![1, 3])] {
            line.remove(&mut slots, keys[gone]);
            assert_eq!(listed(&line, &slots), left);
        }
        line.push(&mut slots, keys[2]);
        assert_eq!(listed(&line, &slots), [1, 3, 2]);
        [1, 3, 2].iter().for_each(|i| line.remove(&mut slots, keys[*i]));
        assert!(line.is_empty());
    }
}
