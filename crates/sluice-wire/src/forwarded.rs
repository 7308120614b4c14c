//! Who proxies say that they speak for: `X-Forwarded-For`, and `Forwarded` of RFC 7239.
//!
//! Both are read from their end, since each proxy appends there and a client may have begun the list with
//! anything. What is odd on the left can therefore never change what is read on the right.

use std::net::IpAddr;

/// The addresses of `X-Forwarded-For` fields, the last one first; `None` for one that is not readable.
pub fn x_forwarded_for<'a>(
    values: impl DoubleEndedIterator<Item = &'a str>,
) -> impl Iterator<Item = Option<IpAddr>> {
    values.rev().flat_map(|value| value.rsplit(',')).map(|hop| node(hop.trim()))
}

/// The addresses of `Forwarded` fields (their `for=`), the last one first; `None` for one that is unknown,
/// hidden (`_secret`) or not readable.
pub fn forwarded<'a>(
    values: impl DoubleEndedIterator<Item = &'a str>,
) -> impl Iterator<Item = Option<IpAddr>> {
    values.rev().flat_map(|value| from_the_end(value, b',')).map(element)
}

/// The address of whoever is behind `peer`: from it towards the left, the first that `is_trusted` does not
/// name, or the last that could be read.
pub fn client(
    peer: IpAddr,
    hops: impl IntoIterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer.to_canonical();
    for hop in hops {
        if !is_trusted(client) {
            break;
        }
        let Some(address) = hop else { break };
        client = address.to_canonical();
    }
    client
}

/// The `for` of one element; `None` also if it has two.
fn element(element: &str) -> Option<IpAddr> {
    let mut named = from_the_end(element, b';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let value = named.next()?;
    if named.next().is_some() {
        return None;
    }
    match value.strip_prefix('"') {
        Some(quoted) => node(quoted.strip_suffix('"')?),
        None => node(value),
    }
}

/// The parts of `text` between `mark`s that stand outside of quotes, the last one first.
fn from_the_end(text: &str, mark: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let mut quoted = false;
        let at = whole.bytes().enumerate().rev().find_map(|(at, byte)| {
            quoted ^= byte == b'"';
            (byte == mark && !quoted).then_some(at)
        });
        // A mark is ASCII, so what stands before it and behind it is text.
        let parts = at.and_then(|at| Some((whole.get(..at)?, whole.get(at + 1..)?)));
        let (left, part) = parts.map_or((None, whole), |(left, part)| (Some(left), part));
        rest = left;
        Some(part)
    })
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse().ok().filter(|address: &IpAddr| fits && address.is_ipv6());
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    address.parse().ok().filter(|address: &IpAddr| is_port(port) && address.is_ipv4())
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn read(values: &[&str], rfc: bool) -> Vec<String> {
        let values = values.iter().copied();
        let told = |hop: Option<IpAddr>| hop.map_or("-".to_owned(), |address| address.to_string());
        if rfc { forwarded(values).map(told).collect() } else { x_forwarded_for(values).map(told).collect() }
    }

    #[test]
    fn fields_are_read_from_their_end() {
        assert_eq!(read(&["192.0.2.1, 10.0.0.1", "10.0.0.2"], false), ["10.0.0.2", "10.0.0.1", "192.0.2.1"]);
        assert_eq!(
            read(&["junk, 1.2.3.4:80,[2001:db8::1]:443 , 2001:db8::2,,::1:"], false),
            ["-", "-", "2001:db8::2", "2001:db8::1", "1.2.3.4", "-"]
        );
        assert_eq!(
            read(
                &["for=192.0.2.43;proto=https, For=\"[2001:db8:cafe::17]:4711\"", "by=x;for=10.0.0.1"],
                true
            ),
            ["10.0.0.1", "2001:db8:cafe::17", "192.0.2.43"]
        );
        assert_eq!(
            read(&["for=unknown, for=_x, proto=http, for=\"1.2.3.4\"x, for=1.1.1.1;for=2.2.2.2"], true),
            ["-"; 5]
        );
    }

    #[test]
    fn an_open_quote_of_the_client_does_not_swallow_what_the_proxy_appends() {
        for begun in ["for=\"1.2.3.4", "for=\"1.2.3.4\\", "\"", "for=\"a\"b\"", ";;,\"\"\""] {
            let value = format!("{begun}, for=198.51.100.7");
            assert_eq!(read(&[&value], true)[0], "198.51.100.7", "{begun}");
        }
    }

    #[test]
    fn the_first_that_is_not_trusted_counts() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let client = |peer: &str, values: &[&str]| {
            client(ip(peer), x_forwarded_for(values.iter().copied()), trusted).to_string()
        };
        assert_eq!(client("203.0.113.1", &["192.0.2.1"]), "203.0.113.1", "nobody asked this one");
        assert_eq!(client("10.0.0.1", &["192.0.2.66, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.66, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "all are trusted");
        assert_eq!(client("10.0.0.1", &["192.0.2.1, what, 10.0.0.2"]), "10.0.0.2", "it said what");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn nothing_on_the_left_hides_the_right(begun in "[ -~]{0,60}", quads: [u8; 4]) {
            let real = IpAddr::from(quads);
            for (value, rfc) in [(format!("{begun},{real}"), false), (format!("{begun},for={real}"), true)] {
                prop_assert_eq!(&read(&[&value], rfc)[0], &real.to_string());
            }
        }
    }
}
