//! Free ports of the loopback.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::process::Process;
use crate::clock::wait_until;

/// Linux gives outgoing connections ports from 32,768 on.
const PORTS: Range<u16> = 10_240..32_768;
/// How long a server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(15);

/// Returns `count` addresses that had no listener a moment ago, all different.
///
/// Their ports lie below those that the kernel gives to outgoing connections: one of these could otherwise be taken by a
/// stream of this run before its server binds it.
pub(super) fn free(count: usize) -> Result<Vec<SocketAddr>> {
    let start =
        u16::try_from(RandomState::new().hash_one(std::process::id()) % u64::from(PORTS.end - PORTS.start))?;
    let in_turn = PORTS.skip(usize::from(start)).chain(PORTS);
    let listeners: Vec<TcpListener> =
        in_turn.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).take(count).collect();
    ensure!(listeners.len() == count, "only {} of {count} ports are free in {PORTS:?}", listeners.len());
    Ok(listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?)
}

/// Waits until `process` listens at `address`.
pub(super) fn wait_for(process: &mut Process, address: SocketAddr) -> Result<()> {
    let mut ended = Ok(());
    let listens = wait_until(LISTENS_WITHIN, Duration::from_millis(20), || {
        ended = process.check_alive();
        ended.is_err() || TcpStream::connect(address).is_ok()
    });
    ended?;
    ensure!(listens, "{} does not listen at {address}: {}", process.name(), process.last_words());
    Ok(())
}
