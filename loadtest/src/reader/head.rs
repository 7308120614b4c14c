//! The few things that a stream's response head must say.

use super::Malformed;

/// A response head, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) chunked: bool,
}

/// Reads a head that ends with its empty line. A 200 that is no event stream is refused.
pub(super) fn parse(head: &[u8]) -> Result<Head, Malformed> {
    let head = std::str::from_utf8(head).map_err(|_| Malformed::Head)?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().filter(|line| line.starts_with("HTTP/1.")).ok_or(Malformed::Head)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(Malformed::Head)?;
    let mut chunked = false;
    let mut event_stream = false;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("content-type") {
            event_stream = value.trim().starts_with("text/event-stream");
        }
    }
    if status == 200 && !event_stream {
        return Err(Malformed::ContentType);
    }
    Ok(Head { status, chunked })
}
