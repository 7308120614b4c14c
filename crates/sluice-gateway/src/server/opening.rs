//! What comes on a connection before its first request: a PROXY header, from those that are trusted.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use sluice_wire::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What the beginning of a connection told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Who is behind it, where that was said.
    pub(super) source: Option<SocketAddr>,
    /// What was read behind it.
    pub(super) ahead: Bytes,
}

/// Why a connection is closed before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpeningError {
    #[error("the PROXY header is malformed: {0}")]
    Malformed(#[from] ProxyHeaderError),
    #[error("no PROXY header came from a proxy that must send one")]
    Missing,
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("nothing came in time")]
    Late,
    #[error("the connection ended")]
    Gone(#[from] io::Error),
}

impl OpeningError {
    /// The reason as metrics count it; `None` where the client just went away.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Malformed(_) | Self::Missing => Some("proxy-header"),
            Self::Tls(_) => Some("tls"),
            Self::Late => Some("handshake-timeout"),
            Self::Gone(_) => None,
        }
    }
}

/// Reads a PROXY header; without one what was read is kept, unless it is `required`.
pub(super) async fn proxy_header(
    socket: &mut (impl AsyncRead + Unpin),
    required: bool,
) -> Result<Opened, OpeningError> {
    let mut bytes = BytesMut::with_capacity(PROXY_HEADER_BYTES_MAX);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match ProxyHeader::parse(&bytes)? {
            ProxyHeader::Incomplete => {}
            ProxyHeader::Absent if required => return Err(OpeningError::Missing),
            ProxyHeader::Absent => return Ok(Opened { source: None, ahead: copied(&bytes) }),
            ProxyHeader::Complete { length, source } => {
                bytes.advance(length);
                return Ok(Opened { source, ahead: copied(&bytes) });
            }
        }
    }
}

/// How every HTTP/2 connection begins. Source: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a connection of plain text begins as HTTP/2 does, and what was read of it.
pub(super) async fn is_http2(
    socket: &mut (impl AsyncRead + Unpin),
    ahead: Bytes,
) -> Result<(bool, Bytes), OpeningError> {
    let mut bytes = BytesMut::from(&ahead[..]);
    loop {
        let alike = bytes.iter().zip(PREFACE).all(|(byte, preface)| byte == preface);
        if !alike || bytes.len() >= PREFACE.len() {
            return Ok((alike, copied(&bytes)));
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// A copy, so that the buffer does not live as long as the connection.
fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn what_comes_behind_is_kept_however_the_bytes_arrive() {
        let sent = b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\nGET / HTTP/1.1\r\n";
        for size in 1..=sent.len() {
            let (mut socket, mut peer) = tokio::io::duplex(size);
            let read = async {
                let opened = proxy_header(&mut socket, true).await.unwrap();
                let mut rest = opened.ahead.to_vec();
                socket.read_to_end(&mut rest).await.unwrap();
                (opened.source, rest)
            };
            let write = async move { peer.write_all(sent).await };
            let ((source, rest), written) = tokio::join!(read, write);
            written.unwrap();
            assert_eq!(source, Some("192.0.2.7:1".parse().unwrap()));
            assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        }
    }

    #[tokio::test]
    async fn without_one_nothing_is_lost() {
        let sent = b"PUT / HTTP/1.1\r\n";
        let opened = proxy_header(&mut &sent[..], false).await.unwrap();
        assert_eq!(opened, Opened { source: None, ahead: Bytes::from_static(sent) });
        let missing = proxy_header(&mut &sent[..], true).await.unwrap_err();
        assert!(matches!(missing, OpeningError::Missing));
        let cut = proxy_header(&mut &b"PROXY TCP4"[..], false).await.unwrap_err();
        assert!(matches!(cut, OpeningError::Gone(_)));
    }
}
