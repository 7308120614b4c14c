//! Networks of addresses, written `10.0.0.0/8`, `2001:db8::/32`, or as a single address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// There is no address in front of the slash.
    #[error("{0:?} is no IP address")]
    Address(String),
    /// The length is no number, or longer than the address.
    #[error("{0:?} is no prefix length; it is 0 to {1} here")]
    Prefix(String, u8),
    /// Bits behind the prefix are set: it is not clear what was meant.
    #[error("bits behind the prefix are set; {0} is the network")]
    Host(Network),
}

impl Network {
    /// Whether fewer leading bits than these are the same: `v4` for IPv4, `v6` for IPv6.
    #[must_use]
    pub fn is_wider_than(&self, v4: u8, v6: u8) -> bool {
        self.prefix < if self.first.is_ipv4() { v4 } else { v6 }
    }

    /// Whether `address` is one of them. An IPv4 address that is mapped into IPv6 is taken as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.first.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.first
    }
}

/// `address` with all bits behind the first `prefix` at zero.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(address.to_owned()))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => {
                let plain = digits.bytes().all(|b| b.is_ascii_digit());
                let number = digits.parse().ok().filter(|number| plain && *number <= longest);
                number.ok_or_else(|| NetworkError::Prefix(digits.to_owned(), longest))?
            }
        };
        let network = Self { first: masked(address, prefix), prefix };
        if network.first == address { Ok(network) } else { Err(NetworkError::Host(network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_inside() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            assert!(network(text).contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!network(text).contains(outside.parse().unwrap()), "{text} {outside}");
        }
        assert_eq!(network("::1").to_string(), "::1/128");
    }

    #[test]
    fn what_is_none() {
        for (text, why) in [
            ("10.0.0.1/8", "bits behind the prefix are set; 10.0.0.0/8 is the network"),
            ("10.0.0.0/33", "\"33\" is no prefix length; it is 0 to 32 here"),
            ("10.0.0.0/+8", "\"+8\" is no prefix length; it is 0 to 32 here"),
            ("10.0.0.0/", "\"\" is no prefix length; it is 0 to 32 here"),
            ("10.0.0/8", "\"10.0.0\" is no IP address"),
            ("example.org", "\"example.org\" is no IP address"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap_err().to_string(), why);
        }
    }
}
