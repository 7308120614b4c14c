//! Properties of the wire formats: what is written is read back, and no input, however hostile, makes
//! something else of it or does harm.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod any;
mod colliding;
mod cursor;
mod decoder;
mod envelope;
mod hostile;
mod sse;
mod text;
