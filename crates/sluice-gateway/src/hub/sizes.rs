//! How large the events of a topic are, so that it is known what a page of its log takes before that is read.

/// What is taken for the size of an event where none was seen. Bytes.
const UNSEEN_BYTES: usize = 32 << 10;
/// By how much of itself a size shrinks with each event that is smaller.
const SHRINKS: u32 = 16;

/// About the largest of the latest events, encoded: it follows a large event at once, and small ones within some
/// dozens of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventSize(u32);

impl EventSize {
    /// An event of `bytes` was seen.
    pub(super) fn note(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0 = bytes.max(self.0 - self.0 / SHRINKS);
    }

    /// In bytes; where no event was seen, what `others` had.
    pub(super) fn or(self, others: Self) -> usize {
        match if self.0 == 0 { others.0 } else { self.0 } {
            0 => UNSEEN_BYTES,
            seen => seen as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_large_events_at_once_and_small_ones_after_some() {
        let mut size = EventSize::default();
        size.note(100);
        assert_eq!(size.or(EventSize(7)), 100);
        size.note(100_000);
        assert_eq!(size.or(EventSize(7)), 100_000);
        (0..10).for_each(|_| size.note(100));
        assert!((10_000..100_000).contains(&size.or(EventSize(7))), "another large one may follow");
        (0..200).for_each(|_| size.note(100));
        assert_eq!(size.or(EventSize(7)), 100);
    }

    #[test]
    fn is_that_of_others_where_none_was_seen() {
        assert_eq!(EventSize::default().or(EventSize(7)), 7);
        assert_eq!(EventSize::default().or(EventSize::default()), UNSEEN_BYTES);
    }
}
