//! The PROXY protocol's header, versions 1 (a line) and 2 (binary), by which a balancer says whose connection
//! it forwards. Source: the specification in HAProxy's documentation, proxy-protocol.txt.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How many bytes of a connection are looked at for a header at most.
pub const PROXY_HEADER_BYTES_MAX: usize = 2_048;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LINE_BEGIN: &[u8] = b"PROXY ";
/// A line of version 1 has at most this many bytes, its end included.
const LINE_BYTES_MAX: usize = 107;
const FIXED: usize = 16;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header, or of something that may become one.
    Incomplete,
    /// Something else.
    Absent,
    /// A header.
    Complete {
        /// Its length in bytes: what comes behind is the connection's own.
        length: usize,
        /// Who the connection is of; `None` when the sender speaks for itself (a health check) or for a kind
        /// of address that has no IP.
        source: Option<SocketAddr>,
    },
}

/// A header that began as one and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// Neither PROXY nor LOCAL, or another version.
    #[error("an unknown version or command")]
    Command,
    /// It says that it is longer than what is looked at.
    #[error("it is longer than {PROXY_HEADER_BYTES_MAX} bytes")]
    Length,
    /// It is too short for the addresses of its family.
    #[error("it has no room for its addresses")]
    Short,
    /// A line that says something else than two addresses and two ports.
    #[error("the line is not of the form \"PROXY TCP4 source destination port port\"")]
    Line,
}

impl ProxyHeader {
    /// Looks at the first bytes of a connection, all that have come so far.
    ///
    /// # Errors
    /// When they can no longer become a header although they began as one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProxyHeaderError> {
        if begins(bytes, SIGNATURE) {
            return binary(bytes);
        }
        if begins(bytes, LINE_BEGIN) {
            return line(bytes);
        }
        Ok(Self::Absent)
    }
}

/// Whether `bytes` are the beginning of `mark` or begin with it.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(byte, mark)| byte == mark)
}

fn binary(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Ok(ProxyHeader::Incomplete) };
    let (command, family) = (fixed[12], fixed[13]);
    let size = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let speaks_for_itself = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyHeaderError::Command),
    };
    let length = FIXED + size;
    if length > PROXY_HEADER_BYTES_MAX {
        return Err(ProxyHeaderError::Length);
    }
    let Some(block) = rest.get(..size) else { return Ok(ProxyHeader::Incomplete) };
    let source = match family {
        _ if speaks_for_itself => None,
        0x11 => Some(source_v4(block)?),
        0x21 => Some(source_v6(block)?),
        _ => None,
    };
    Ok(ProxyHeader::Complete { length, source })
}

/// Source and destination address, source and destination port; what comes behind is not read.
fn source_v4(block: &[u8]) -> Result<SocketAddr, ProxyHeaderError> {
    let block = block.first_chunk::<12>().ok_or(ProxyHeaderError::Short)?;
    let address = Ipv4Addr::new(block[0], block[1], block[2], block[3]);
    Ok((address, u16::from_be_bytes([block[8], block[9]])).into())
}

fn source_v6(block: &[u8]) -> Result<SocketAddr, ProxyHeaderError> {
    let block = block.first_chunk::<36>().ok_or(ProxyHeaderError::Short)?;
    let address: &[u8; 16] = block.first_chunk().ok_or(ProxyHeaderError::Short)?;
    Ok((Ipv6Addr::from(*address), u16::from_be_bytes([block[32], block[33]])).into())
}

fn line(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let looked_at = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = looked_at.iter().position(|byte| *byte == b'\n') else {
        let over = bytes.len() >= LINE_BYTES_MAX;
        return if over { Err(ProxyHeaderError::Line) } else { Ok(ProxyHeader::Incomplete) };
    };
    let text = looked_at[..end].strip_suffix(b"\r").and_then(|text| str::from_utf8(text).ok());
    let words: Vec<&str> = text.ok_or(ProxyHeaderError::Line)?.split(' ').collect();
    let source = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let address = |text: &str| {
                let address = text.parse().ok();
                address.filter(|address: &IpAddr| address.is_ipv4() == (family == "TCP4"))
            };
            let (source, _) = address(source).zip(address(destination)).ok_or(ProxyHeaderError::Line)?;
            let (port, _) = port(from).zip(port(to)).ok_or(ProxyHeaderError::Line)?;
            Some((source, port).into())
        }
        _ => return Err(ProxyHeaderError::Line),
    };
    Ok(ProxyHeader::Complete { length: end + 1, source })
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
