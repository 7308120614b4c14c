//! A gateway in this process, on the embedded broker, and sockets of which every byte is looked at.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

mod addresses;
mod beginning;
mod crowd;
mod flood;
mod gone;
mod heads;
mod http2;
mod leaving;
mod lingering;
mod pages;
mod principals;
mod replaying;
mod rings;
mod secure;
mod smuggling;
mod stage;
mod stalled;
mod stopping;
mod tls;
