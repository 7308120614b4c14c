//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of the client behind a request, in the request's extensions: the socket's peer, or what a
/// trusted proxy says of it. Set by the listener for every request, and by nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// How many leading bits of addresses are one client for limits. A household has a whole IPv6 network, and
/// whoever attacks has one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPrefixes {
    /// Of IPv4 addresses, at most 32.
    pub v4_bits: u8,
    /// Of IPv6 addresses, at most 128.
    pub v6_bits: u8,
}

impl Default for AddressPrefixes {
    fn default() -> Self {
        Self { v4_bits: 32, v6_bits: 64 }
    }
}

impl AddressPrefixes {
    /// The first address of the network that `address` is counted with. An IPv4 address in IPv6 clothes is an
    /// IPv4 address.
    #[must_use]
    pub fn network_of(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4_bits.min(32))).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6_bits.min(128))).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one() {
        for (v4_bits, v6_bits, address, network) in [
            (32, 64, "192.0.2.77", "192.0.2.77"),
            (24, 64, "192.0.2.77", "192.0.2.0"),
            (0, 0, "192.0.2.77", "0.0.0.0"),
            (32, 64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            (32, 48, "2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            (32, 128, "2001:db8::1", "2001:db8::1"),
            (32, 0, "2001:db8::1", "::"),
            (32, 64, "::ffff:192.0.2.77", "192.0.2.77"),
            (255, 255, "2001:db8::1", "2001:db8::1"),
        ] {
            let prefixes = AddressPrefixes { v4_bits, v6_bits };
            let network: IpAddr = network.parse().unwrap();
            assert_eq!(
                prefixes.network_of(address.parse().unwrap()),
                network,
                "{address}/{v4_bits}/{v6_bits}"
            );
        }
    }
}
