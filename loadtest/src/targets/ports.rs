//! Free ports of the loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::process::Process;
use crate::clock::wait_until;

/// How long a server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(15);

/// `count` addresses that nobody listened on a moment ago, all different.
pub(super) fn free(count: usize) -> Result<Vec<SocketAddr>> {
    let listeners =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
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
