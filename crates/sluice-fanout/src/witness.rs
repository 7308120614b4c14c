//! Who wants to know when an event has been brought out.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Goes with an event through every view that it is told to, and says when the last of the feeds there has
/// completed its first pass over it: each feed drops its share then, and the last drop is the moment.
///
/// A stream that could not take the event in that pass is not waited for. Streams that are polled count as
/// reached when they are woken.
pub struct Witness {
    streams: AtomicUsize,
    seen: Option<Box<dyn FnOnce(usize) + Send + Sync>>,
}

impl Witness {
    /// Calls `seen` with how many streams the passes visited. It is called from the threads of shards and with
    /// locks held: it must neither block nor call back.
    #[must_use]
    pub fn new(seen: impl FnOnce(usize) + Send + Sync + 'static) -> Self {
        Self { streams: AtomicUsize::new(0), seen: Some(Box::new(seen)) }
    }

    /// A feed has brought the event to so many streams.
    pub(crate) fn reached(&self, streams: usize) {
        self.streams.fetch_add(streams, Ordering::Relaxed);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(seen) = self.seen.take() {
            seen(*self.streams.get_mut());
        }
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").field("streams", &self.streams).finish_non_exhaustive()
    }
}
