//! One stream of a generator, in as few bytes as it needs.

use std::fmt::Write as _;
use std::ops::Range;
use std::os::fd::OwnedFd;

use super::protocol::Dialect;
use crate::reader::Reader;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not connected: not yet, or waiting for its next attempt.
    Idle,
    Connecting,
    /// The request is sent, the head has not come.
    Asked,
    Open,
    /// Given up.
    Failed,
}

/// A stream.
pub(super) struct Stream {
    pub(super) socket: Option<OwnedFd>,
    pub(super) reader: Reader,
    pub(super) state: State,
    pub(super) group: u16,
    /// Whether it was ever open.
    pub(super) opened: bool,
    /// Attempts since the stream was last open.
    pub(super) attempts: u8,
    pub(super) lane_count: u8,
    pub(super) first_lane: u32,
    /// The stream's number in its group.
    pub(super) number: u32,
    /// The stream's number among all of the part, which decides its server and source address.
    pub(super) global: u32,
    /// What the server asks to wait before a reconnection.
    pub(super) retry_ms: u32,
    pub(super) last_id: Vec<u8>,
}

impl Stream {
    /// The stream's lanes in the checker.
    #[inline]
    pub(super) fn lanes(&self) -> Range<usize> {
        let first = self.first_lane as usize;
        first..first + usize::from(self.lane_count)
    }
}

/// The request for a stream of `topics`.
pub(super) fn request(dialect: Dialect, topics: &[String], last_id: &[u8]) -> Vec<u8> {
    let mut text = String::from("GET ");
    match dialect {
        Dialect::Sluice => {
            for (index, topic) in topics.iter().enumerate() {
                // Topics consist of characters that a query may hold as they are.
                let _ = write!(text, "{}topic={topic}", if index == 0 { "/v1/events?" } else { "&" });
            }
        }
        Dialect::Nchan => text = text + "/sub/" + &topics.join(","),
        Dialect::Floor => text.push('/'),
    }
    text.push_str(" HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n");
    let mut text = text.into_bytes();
    if !last_id.is_empty() {
        text.extend_from_slice(b"last-event-id: ");
        text.extend_from_slice(last_id);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_asked_in_its_own_way() {
        let topics = ["a/1".to_owned(), "b".to_owned()];
        let first_line = |dialect| {
            let text = String::from_utf8(request(dialect, &topics, b"")).unwrap();
            assert!(text.ends_with("\r\n\r\n") && !text.contains("last-event-id"));
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(first_line(Dialect::Sluice), "GET /v1/events?topic=a/1&topic=b HTTP/1.1");
        assert_eq!(first_line(Dialect::Nchan), "GET /sub/a/1,b HTTP/1.1");
        assert_eq!(first_line(Dialect::Floor), "GET / HTTP/1.1");
    }

    #[test]
    fn a_cursor_is_sent_back() {
        let text = String::from_utf8(request(Dialect::Floor, &[], b"5-0~9")).unwrap();
        assert!(text.contains("\r\nlast-event-id: 5-0~9\r\n\r\n"));
    }
}
