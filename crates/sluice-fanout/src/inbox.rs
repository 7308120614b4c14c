//! The command queue of a shard: many writers, one reader that may be asleep in its poller.
//!
//! Invariant: a command that was pushed is either seen by the reader before it falls asleep, or its pusher
//! wakes the reader. The reader says that it is about to sleep *before* it looks a last time; the pusher
//! looks whether it sleeps *after* it has pushed. The queue's lock orders the two, and since the flag is only
//! ever swapped, never plainly stored, each sees what the one before it left. `tests/loom.rs` is a model check
//! of this.

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// See the module.
#[derive(Debug)]
pub struct Inbox<C> {
    commands: Mutex<Vec<C>>,
    asleep: AtomicBool,
}

impl<C> Inbox<C> {
    /// An empty queue whose reader is awake.
    #[must_use]
    pub fn new() -> Self {
        Self { commands: Mutex::new(Vec::new()), asleep: AtomicBool::new(false) }
    }

    /// Appends a command. Whether the reader must be woken.
    #[must_use]
    pub fn push(&self, command: C) -> bool {
        self.lock().push(command);
        self.asleep.swap(false, Ordering::SeqCst)
    }

    /// Commands that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all commands, in order, into `batch`.
    pub fn drain(&self, batch: &mut Vec<C>) {
        std::mem::swap(&mut *self.lock(), batch);
    }

    /// Says that the reader is about to sleep. Whether it may: `false` when there are commands.
    #[must_use]
    pub fn may_sleep(&self) -> bool {
        self.asleep.swap(true, Ordering::SeqCst);
        let may = self.lock().is_empty();
        if !may {
            self.asleep.swap(false, Ordering::SeqCst);
        }
        may
    }

    /// Says that the reader is awake, so that nobody wakes it in vain.
    pub fn awake(&self) {
        self.asleep.swap(false, Ordering::SeqCst);
    }

    #[cfg(not(loom))]
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.commands.lock().unwrap_or_else(sluice_failure::poisoned)
    }

    #[cfg(loom)]
    fn lock(&self) -> loom::sync::MutexGuard<'_, Vec<C>> {
        self.commands.lock().expect("no thread of a model panics with the lock")
    }
}

impl<C> Default for Inbox<C> {
    fn default() -> Self {
        Self::new()
    }
}
