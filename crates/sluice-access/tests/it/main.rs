//! Access from outside: requests with credentials of every kind, good ones and those of known attacks.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod attacks;
mod credentials;
mod key_sets;
mod stage;
mod times;
