//! Free ports of the loopback address.
//!
//! A port is never handed out twice by one process, and it lies below the kernel's ephemeral range: an
//! ephemeral port could be taken by somebody's outgoing connection while the server that owns it restarts,
//! or a client that redials a dead port could even connect to itself.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Result, bail};

static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
static CANDIDATES: LazyLock<Range<u16>> = LazyLock::new(candidates);

/// Returns an address of the loopback interface that has no listener and that no other caller in this process gets.
///
/// Another process may still bind it first: the caller that binds it must be ready to ask for another.
///
/// # Errors
/// If no free port was found.
pub fn free_address() -> Result<SocketAddr> {
    for _ in 0..1_000 {
        let port = fastrand::u16(CANDIDATES.clone());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.get_or_insert_default().insert(port) && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port on 127.0.0.1 in {:?} after 1,000 tries", *CANDIDATES)
}

fn candidates() -> Range<u16> {
    const FIRST: u16 = 10_240;
    let ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let first_ephemeral =
        ephemeral.as_deref().and_then(|range| range.split_whitespace().next()?.parse().ok());
    match first_ephemeral.unwrap_or(32_768) {
        end if end >= FIRST + 2_000 => FIRST..end,
        // A machine with such a wide ephemeral range leaves nothing below it worth searching.
        _ => 20_000..60_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_comes_twice_and_each_can_be_bound() -> Result<()> {
        let addresses = (0..200).map(|_| free_address()).collect::<Result<Vec<_>>>()?;
        assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 200);
        TcpListener::bind(addresses[0])?;
        Ok(())
    }
}
