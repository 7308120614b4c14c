//! What a failure inside the process costs: the one request that met it, or the process, which then ends in good order.
//!
//! The rule is the safe one by default. A panic ends the process unless it happens inside [`contain`]: no thread and no
//! task can be lost without notice, because nobody has to remember to watch it. Work that belongs to one caller (a
//! request, a stream, a connection) is contained. State that a panic may have left half changed ([`poisoned`]) and an
//! essential part that stopped without a panic ([`fatal`]) end the process too.
//!
//! This crate only tells; the process that called [`watch`] counts, logs and drains.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod contained;
#[cfg(feature = "drill")]
mod drill;
mod hook;

use std::sync::{OnceLock, PoisonError};

pub use contained::{Panicked, Place, contain, contain_call};
pub use hook::Panic;

/// A failure, as told to the process.
#[derive(Debug)]
pub enum Failure<'a> {
    /// A panic, contained or not.
    Panic(&'a Panic<'a>),
    /// A panic while shared state was locked: it may be half changed.
    Poisoned,
    /// An essential part ended without a panic.
    Fatal(&'a str),
}

type React = Box<dyn Fn(&Failure<'_>) + Send + Sync>;

static REACT: OnceLock<React> = OnceLock::new();

/// Makes `react` what this process does about failures, and takes over what a panic prints.
///
/// `react` runs on the failing thread, possibly with locks held: it must not panic, block or take a lock of the
/// process's own. It is called again for each further failure. Returns `false` if the process is watched already.
pub fn watch(react: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> bool {
    let first = REACT.set(Box::new(react)).is_ok();
    if first {
        hook::install();
    }
    first
}

/// Returns the guarded state of a lock that was held during a panic, and tells that the process must end.
///
/// For `lock().unwrap_or_else(sluice_failure::poisoned)`.
pub fn poisoned<G>(error: PoisonError<G>) -> G {
    tell(&Failure::Poisoned);
    error.into_inner()
}

/// Tells that an essential part of the process has ended, and why.
pub fn fatal(why: &str) {
    tell(&Failure::Fatal(why));
}

/// Panics if a drill asks for a panic at `place`; compiled to nothing without the feature `drill`.
#[inline]
pub fn drill(place: &str) {
    #[cfg(feature = "drill")]
    drill::run(place);
    #[cfg(not(feature = "drill"))]
    let _ = place;
}

fn tell(failure: &Failure<'_>) {
    if let Some(react) = REACT.get() {
        react(failure);
    }
}
