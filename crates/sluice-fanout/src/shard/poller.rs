//! The system calls of a shard: epoll, an event descriptor to wake it, and non-blocking sends.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, getpeername, recv, send, shutdown};

use crate::core::{Output, Sent};
use crate::slot::Token;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;
/// What is read away of a peer's bytes before a socket is closed, so that they do not turn into a reset.
const DISCARD_BYTES_MAX: usize = 64 << 10;

/// What the poller's own descriptor is called among tokens.
const WAKE: u64 = u64::MAX;

/// Wakes a shard that sleeps in its poller.
#[derive(Debug)]
pub(super) struct Waker {
    event: OwnedFd,
}

impl Waker {
    pub(super) fn wake(&self) {
        // The counter of an event descriptor cannot overflow before it is read; anything else means that
        // the shard is gone.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }
}

/// A poller over sockets.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    wake: OwnedFd,
}

/// Room for what the kernel says at once.
pub(super) struct Events(Vec<epoll::Event>);

impl Events {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS_MAX))
    }
}

/// What the kernel says of a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readiness {
    pub(super) token: Token,
    /// It can be written to.
    pub(super) writable: bool,
    /// Its peer has closed, or it has failed.
    pub(super) hung_up: bool,
}

pub(super) fn create() -> io::Result<(Poller, Waker)> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&epoll, &event, epoll::EventData::new_u64(WAKE), flags)?;
    let wake = event.try_clone()?;
    Ok((Poller { epoll, wake }, Waker { event }))
}

impl Poller {
    /// Begins to watch a socket for being writable and for its peer's end. A half-closed peer counts as gone.
    pub(super) fn add(&self, socket: &OwnedFd, token: Token) -> io::Result<()> {
        let flags = epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token.to_bits()), flags)?)
    }

    /// Ends that, for a socket that lives on elsewhere.
    pub(super) fn remove(&self, socket: &OwnedFd) {
        // It may never have been added, when the kernel refused it.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// Waits at most `timeout`, then puts what there is into `ready`.
    pub(super) fn wait(
        &self,
        timeout: Duration,
        events: &mut Events,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        let timeout =
            Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() };
        events.0.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events.0), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events.0 {
            let (bits, flags) = (event.data.u64(), event.flags);
            if bits == WAKE {
                let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
                continue;
            }
            let ends = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            ready.push(Readiness {
                token: Token::from_bits(bits),
                writable: flags.contains(epoll::EventFlags::OUT),
                hung_up: flags.intersects(ends),
            });
        }
        Ok(())
    }
}

/// Sends without waiting and without signals.
#[derive(Debug)]
pub(super) struct Sockets;

impl Output<OwnedFd> for Sockets {
    fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> Sent {
        loop {
            match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(taken) => return Sent::Bytes(taken),
                Err(Errno::AGAIN) => return Sent::Bytes(0),
                Err(Errno::INTR) => {}
                Err(_) => return Sent::Gone,
            }
        }
    }
}

/// Says that no more will be sent.
pub(super) fn finish(socket: &OwnedFd) {
    let _ = shutdown(socket, Shutdown::Write);
}

/// Reads away what the peer has sent, up to a bound.
pub(super) fn discard(socket: &OwnedFd) {
    let mut sink = [0_u8; 4_096];
    for _ in 0..DISCARD_BYTES_MAX / sink.len() {
        match recv(socket.as_fd(), &mut sink, RecvFlags::DONTWAIT) {
            Ok((taken, _)) if taken > 0 => {}
            _ => return,
        }
    }
}

/// Who is at the other end.
pub(super) fn peer(socket: &OwnedFd) -> Option<SocketAddr> {
    getpeername(socket).ok()??.try_into().ok()
}

/// Binds the calling thread to the `number`th processor that the process may use.
pub(super) fn pin_to_cpu(number: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let Some(cpu) = cpus.get(number % cpus.len().max(1)) else { return };
    let mut one = CpuSet::new();
    one.set(*cpu);
    if let Err(error) = sched_setaffinity(None, &one) {
        tracing::warn!(%error, cpu, "a shard cannot be pinned");
    }
}
