//! What is a header, byte by byte.

use proptest::prelude::*;

use super::*;

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

fn source(bytes: &[u8]) -> Option<SocketAddr> {
    match ProxyHeader::parse(bytes) {
        Ok(ProxyHeader::Complete { length, source }) => {
            assert_eq!(length, bytes.len());
            source
        }
        other => panic!("{other:?}"),
    }
}

const V4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x1F, 0x90, 0, 80];

#[test]
fn binary_headers() {
    let client = "192.0.2.7:8080".parse().unwrap();
    assert_eq!(source(&v2(0x21, 0x11, V4)), Some(client));
    let with_more = [V4, &[0x04, 0, 1, 0]].concat();
    assert_eq!(source(&v2(0x21, 0x11, &with_more)), Some(client), "what follows the addresses is skipped");
    let mut v6 = Ipv6Addr::LOCALHOST.octets().to_vec();
    v6.extend(Ipv6Addr::UNSPECIFIED.octets());
    v6.extend([0, 9, 0, 80]);
    assert_eq!(source(&v2(0x21, 0x21, &v6)), Some("[::1]:9".parse().unwrap()));
    assert_eq!(source(&v2(0x20, 0x11, V4)), None, "a health check speaks for itself");
    assert_eq!(source(&v2(0x20, 0x00, &[])), None);
    assert_eq!(source(&v2(0x21, 0x31, &[0; 216])), None, "a path has no address");
    for (header, error) in [
        (v2(0x11, 0x11, V4), ProxyHeaderError::Command),
        (v2(0x22, 0x11, V4), ProxyHeaderError::Command),
        (v2(0x21, 0x11, &V4[..11]), ProxyHeaderError::Short),
        (v2(0x21, 0x21, V4), ProxyHeaderError::Short),
        (v2(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]), ProxyHeaderError::Length),
    ] {
        assert_eq!(ProxyHeader::parse(&header), Err(error));
    }
}

#[test]
fn lines() {
    assert_eq!(
        source(b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"),
        Some("192.0.2.7:56324".parse().unwrap())
    );
    assert_eq!(source(b"PROXY TCP6 ::1 ::2 1 2\r\n"), Some("[::1]:1".parse().unwrap()));
    assert_eq!(source(b"PROXY UNKNOWN\r\n"), None);
    assert_eq!(source(b"PROXY UNKNOWN ffff::1 ::2 1 2\r\n"), None);
    for line in [
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
        "PROXY TCP4 192.0.2.7  10.0.0.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +1 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
        "PROXY SCTP 192.0.2.7 10.0.0.1 1 443\r\n",
        "PROXY \r\n",
    ] {
        assert_eq!(ProxyHeader::parse(line.as_bytes()), Err(ProxyHeaderError::Line), "{line:?}");
    }
    let endless = [LINE_BEGIN, &[b'x'; LINE_BYTES_MAX]].concat();
    assert_eq!(ProxyHeader::parse(&endless), Err(ProxyHeaderError::Line));
}

#[test]
fn requests_are_none() {
    for bytes in [
        "GET / HTTP/1.1\r\n",
        "POST /",
        "PRI * HTTP/2.0\r\n",
        "PROXYX",
        "\r\nGET /",
        "\x16\x03\x01",
        "proxy ",
    ] {
        assert_eq!(ProxyHeader::parse(bytes.as_bytes()), Ok(ProxyHeader::Absent), "{bytes:?}");
    }
    for bytes in ["", "P", "PR", "PROXY", "\r", "\r\n\r\n"] {
        assert_eq!(ProxyHeader::parse(bytes.as_bytes()), Ok(ProxyHeader::Incomplete), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn every_beginning_of_a_header_waits_for_the_rest(quads: [u8; 4], port: u16, more in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut block = quads.to_vec();
        block.extend([10, 0, 0, 1]);
        block.extend(port.to_be_bytes());
        block.extend([0, 80]);
        block.extend(&more);
        let line = format!("PROXY TCP4 {} 10.0.0.1 {port} 80\r\n", Ipv4Addr::from(quads)).into_bytes();
        for header in [v2(0x21, 0x11, &block), line] {
            for end in 0..header.len() {
                prop_assert_eq!(ProxyHeader::parse(&header[..end]), Ok(ProxyHeader::Incomplete));
            }
            let whole = Ok(ProxyHeader::Complete { length: header.len(), source: Some((quads, port).into()) });
            prop_assert_eq!(ProxyHeader::parse(&header), whole);
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            prop_assert_eq!(ProxyHeader::parse(&followed), whole);
        }
    }

    #[test]
    fn whatever_comes_it_is_judged_within_the_limit(begun in 0_usize..3, bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let bytes = [[&b""[..], SIGNATURE, LINE_BEGIN][begun], &bytes].concat();
        if let Ok(ProxyHeader::Complete { length, .. }) = ProxyHeader::parse(&bytes) {
            prop_assert!(length <= bytes.len() && length <= PROXY_HEADER_BYTES_MAX);
        }
        if bytes.len() >= PROXY_HEADER_BYTES_MAX {
            prop_assert_ne!(ProxyHeader::parse(&bytes), Ok(ProxyHeader::Incomplete));
        }
    }
}
