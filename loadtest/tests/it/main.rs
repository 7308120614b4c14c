//! The tool as its users run it, against its own floor: small loads, and faults that it must notice.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod faults;
mod loads;
mod tool;
