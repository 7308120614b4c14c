//! A sentence: the streams of some principals are to be ended, wherever they stand.
//!
//! A mark in the book carries it, not a list of streams: shards and the polled view come by once to end those
//! that stand there, and whatever is on its way finds the mark when it arrives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sluice_wire::sse::Frame;

/// Why streams are ended, and what they are told. Clones are cheap.
#[derive(Clone)]
pub struct Sentence {
    /// The reason, as it is counted.
    pub reason: &'static str,
    words: Arc<dyn Fn(Duration) -> Frame + Send + Sync>,
}

impl Sentence {
    /// `words` makes the last frame of a stream from the `retry` that is right for its client.
    pub fn new(reason: &'static str, words: impl Fn(Duration) -> Frame + Send + Sync + 'static) -> Self {
        Self { reason, words: Arc::new(words) }
    }

    /// The last frame of a stream whose client may come back after `retry`.
    #[must_use]
    pub fn frame(&self, retry: Duration) -> Frame {
        (self.words)(retry)
    }
}

impl fmt::Debug for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentence").field("reason", &self.reason).finish_non_exhaustive()
    }
}
