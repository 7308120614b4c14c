//! What a shard has done, and how much it holds.

use super::Core;

/// Figures of a shard since it began; see the names.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Completed passes.
    pub passes: u64,
    /// Frames that were written whole, once a stream.
    pub deliveries: u64,
    /// Bytes that sockets took.
    pub bytes: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Times that a stream could not take all it lacked.
    pub blocks: u64,
    /// Streams that a ring has passed.
    pub lagged: u64,
    /// Frames dropped from rings that a stream still needed.
    pub evictions: u64,
    /// Heartbeats and checkpoints written or pushed.
    pub heartbeats: u64,
}

impl<S> Core<S> {
    /// Slots in use: streams, waiting streams, and those whose end is under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no slot is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Feeds known here.
    #[must_use]
    pub fn feeds(&self) -> usize {
        self.view.len()
    }

    /// Streams that have not begun to end.
    #[must_use]
    pub fn standing(&self) -> usize {
        self.slots.len() - self.closing
    }

    /// Streams in a ring that take nothing now.
    #[must_use]
    pub fn blocked(&self) -> usize {
        self.blocked.len()
    }

    /// Streams that the ring has passed and that cannot be written to now.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.waiting.len()
    }

    /// See [`Figures`].
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}
