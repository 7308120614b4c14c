//! Whether the process is short of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Said by whoever watches the memory, heard by whoever takes something in. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicBool>);

impl Pressure {
    /// Says whether memory is short; whether that is news.
    pub fn set(&self, short: bool) -> bool {
        self.0.swap(short, Ordering::AcqRel) != short
    }

    /// Whether memory is short.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
