//! What must hold for any bytes that come from outside: one function a format, which panics where it does not
//! hold. The fuzzer (`fuzz/`, nightly) searches with them for as long as one likes; `tests/it` runs them over
//! the kept corpus and mutations of it on every machine, so that they cannot rot.
//!
//! A property says more than that nothing panics: what is read is written back as it was, no byte becomes a
//! field that is not there, what is answered is bounded and repeats no secret.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a property fails")]

mod answer;
mod batch;
mod client_address;
mod configuration;
mod cursor;
mod envelope;
mod input;
mod request;
mod sse;
mod token;

pub use batch::batch;
pub use client_address::client_address;
pub use configuration::configuration;
pub use cursor::cursor;
pub use envelope::envelope;
pub use request::request;
pub use sse::{sse_decoder, sse_round_trip};
pub use token::token;

/// A property by its name, which is that of its fuzz target and of its corpus.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// `fuzz/fuzz_targets/<name>.rs`, `fuzz/corpus/<name>/`.
    pub name: &'static str,
    /// Panics where the property does not hold.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "batch", check: batch },
    Target { name: "client_address", check: client_address },
    Target { name: "configuration", check: configuration },
    Target { name: "cursor", check: cursor },
    Target { name: "envelope", check: envelope },
    Target { name: "request", check: request },
    Target { name: "sse_decoder", check: sse_decoder },
    Target { name: "sse_round_trip", check: sse_round_trip },
    Target { name: "token", check: token },
];
