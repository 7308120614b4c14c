//! Whose connection it is: the PROXY header in front of it, `X-Forwarded-For` and `Forwarded` in its requests.
//! Limits and logs go by the answer, so nothing a client sends may choose it.

use std::net::{IpAddr, SocketAddr};

use sluice_wire::forwarded::{client, forwarded, x_forwarded_for};
use sluice_wire::{Network, PROXY_HEADER_BYTES_MAX, ProxyHeader};

use crate::input::assert_message;

/// The first byte chooses what the others are.
pub fn client_address(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    if choice % 2 == 0 { proxy_header(bytes) } else { fields(bytes) }
}

/// What a header is does not depend on how much of it came at once, nor on what stands behind it.
fn proxy_header(bytes: &[u8]) {
    let whole = ProxyHeader::parse(bytes);
    if let Err(error) = whole {
        assert_message(&error.to_string());
    }
    let length = match whole {
        Ok(ProxyHeader::Complete { length, .. }) => length,
        _ => bytes.len(),
    };
    assert!(length <= bytes.len());
    for end in (0..length).filter(|end| *end < 300 || end % 97 == 0 || end + 2 > length) {
        match ProxyHeader::parse(&bytes[..end]) {
            Ok(ProxyHeader::Incomplete) => {}
            early => {
                assert!(early == whole && !matches!(early, Ok(ProxyHeader::Complete { .. })), "at {end}");
            }
        }
    }
    match whole {
        Ok(ProxyHeader::Incomplete) => assert!(bytes.len() < PROXY_HEADER_BYTES_MAX),
        Ok(ProxyHeader::Complete { length, source }) => {
            assert!(length <= PROXY_HEADER_BYTES_MAX);
            let behind = [&bytes[..length], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(ProxyHeader::parse(&behind), whole);
            if let Some(source) = source {
                assert_eq!(ProxyHeader::parse(&line_of(source)).map(source_of), Ok(Some(source)));
            }
        }
        Ok(ProxyHeader::Absent) | Err(_) => {}
    }
}

fn source_of(header: ProxyHeader) -> Option<SocketAddr> {
    match header {
        ProxyHeader::Complete { source, .. } => source,
        ProxyHeader::Incomplete | ProxyHeader::Absent => None,
    }
}

fn line_of(source: SocketAddr) -> Vec<u8> {
    let (ip, port, family) = (source.ip(), source.port(), if source.is_ipv4() { 4 } else { 6 });
    format!("PROXY TCP{family} {ip} {ip} {port} 443\r\n").into_bytes()
}

const PEER: &str = "10.0.0.1";
const REAL: &str = "198.51.100.7";

/// Lines are the values of fields. What the trusted proxy appends is believed, whatever stands before it.
fn fields(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let (peer, real): (IpAddr, IpAddr) = (PEER.parse().unwrap(), REAL.parse().unwrap());
    let trusted: Network = "10.0.0.0/8".parse().unwrap();
    let commas = text.matches(',').count() + lines.len();
    assert!(x_forwarded_for(lines.iter().copied()).count() <= commas);
    assert!(forwarded(lines.iter().copied()).count() <= commas);
    let stranger = client(real, x_forwarded_for(lines.iter().copied()), |address| trusted.contains(address));
    assert_eq!(stranger, real, "nobody asked a stranger");
    for rfc in [false, true] {
        let judge = |lines: &[&str]| {
            let (values, is_trusted) = (lines.iter().copied(), |address| trusted.contains(address));
            if rfc {
                client(peer, forwarded(values), is_trusted)
            } else {
                client(peer, x_forwarded_for(values), is_trusted)
            }
        };
        let own = if rfc { format!("for={real}") } else { real.to_string() };
        let mut with_line = lines.clone();
        with_line.push(&own);
        assert_eq!(judge(&with_line), real);
        if let Some((last, before)) = lines.split_last() {
            let appended = format!("{last}, {own}");
            assert_eq!(judge(&[before, &[appended.as_str()]].concat()), real);
        }
    }
    if let Some(line) = lines.first() {
        match line.parse::<Network>() {
            Ok(network) => assert_eq!(network.to_string().parse::<Network>(), Ok(network)),
            Err(error) => drop(error),
        }
    }
}
