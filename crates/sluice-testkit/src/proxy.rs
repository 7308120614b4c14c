//! A TCP proxy that injects the faults of a network: cut, silence, delay, narrowness, reset.
//!
//! It never changes bytes nor their order: whatever it does, a connection through it sees a prefix of what
//! the other side sent, as with real TCP.

mod pump;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ports::free_address;

const ATTEMPTS: u32 = 5;

/// One of the two ways through a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the upstream server to the client that dialled the proxy.
    ToClient,
    /// From the client to the upstream server.
    ToServer,
}

/// The faults in force; pumps watch it.
#[derive(Debug, Clone, Default)]
struct Faults {
    silent: [bool; 2],
    delay: Duration,
    bytes_per_second: Option<u64>,
}

impl Direction {
    const fn index(self) -> usize {
        match self {
            Self::ToClient => 0,
            Self::ToServer => 1,
        }
    }
}

struct Shared {
    upstream: SocketAddr,
    faults: watch::Sender<Faults>,
    /// Changes at every reset.
    resets: watch::Sender<u64>,
    accepted: AtomicU64,
    open: AtomicU64,
    bytes: [AtomicU64; 2],
}

/// The listener and the connections between two cuts; cancelling and waiting ends them all.
struct Generation {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A proxy on a port of its own before one upstream address. Dropping it ends every connection.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    generation: Mutex<Option<Generation>>,
}

impl Proxy {
    /// Listens on a free port and forwards to `upstream`, which need not be up yet.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared {
            upstream,
            faults: watch::Sender::default(),
            resets: watch::Sender::default(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let mut attempt = 1;
        loop {
            let address = free_address()?;
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let generation = Mutex::new(Some(Generation::start(listener, &shared)));
                    return Ok(Self { address, shared, generation });
                }
                Err(error) if attempt == ATTEMPTS => return Err(error).context("no port for the proxy"),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Where clients dial.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and refuses new ones; returns when both hold.
    pub async fn cut(&self) {
        if let Some(generation) = self.generation.lock().await.take() {
            generation.end().await;
        }
    }

    /// Heals everything: listens again after a cut, delivers what silence held back, at full speed.
    pub async fn restore(&self) -> Result<()> {
        self.shared.faults.send_replace(Faults::default());
        let mut generation = self.generation.lock().await;
        if generation.is_none() {
            let listener = TcpListener::bind(self.address).await.context("listening again after a cut")?;
            *generation = Some(Generation::start(listener, &self.shared));
        }
        Ok(())
    }

    /// Delivers nothing that way any more, on open and on new connections, and tells nobody: the half-dead
    /// link of a silent firewall. Even an end is not passed on. [`Proxy::restore`] delivers what was held back,
    /// as TCP's retransmissions would.
    pub fn swallow(&self, direction: Direction) {
        self.shared.faults.send_modify(|faults| faults.silent[direction.index()] = true);
    }

    /// Delivers every byte this much later, each way; the bandwidth stays.
    pub fn delay(&self, delay: Duration) {
        self.shared.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Lets at most so many bytes a second through, for each connection and direction.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.shared.faults.send_modify(|faults| faults.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// Ends every open connection with a TCP reset on both sides; new ones are welcome.
    pub fn reset(&self) {
        self.shared.resets.send_modify(|resets| *resets += 1);
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Bytes delivered that way since the start.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.shared.bytes[direction.index()].load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(generation) = self.generation.get_mut() {
            generation.stop.cancel();
        }
    }
}

impl Generation {
    fn start(listener: TcpListener, shared: &Arc<Shared>) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, shared.clone(), stop.clone(), tasks.clone()));
        Self { stop, tasks }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    let connections = async {
        // An accept that fails took a client that was gone already, or no descriptor was left: the next one counts.
        loop {
            if let Ok((client, _)) = listener.accept().await {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                let resets = shared.resets.subscribe();
                let connection = connect(client, shared.clone(), resets);
                tasks.spawn(stop.clone().run_until_cancelled_owned(connection));
            }
        }
    };
    stop.run_until_cancelled(connections).await;
}

/// One connection from its accept to its end.
async fn connect(mut client: TcpStream, shared: Arc<Shared>, mut resets: watch::Receiver<u64>) {
    let _open = Open::new(&shared);
    let Ok(mut server) = TcpStream::connect(shared.upstream).await else {
        // The nearest thing to a refusal that is possible behind an accept.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let there = pump::run(from_client, to_server, &shared, Direction::ToServer);
        let back = pump::run(from_server, to_client, &shared, Direction::ToClient);
        tokio::select! {
            pumped = async { tokio::try_join!(there, back) } => pumped.is_ok(),
            _ = resets.changed() => false,
        }
    };
    if !ended {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(&shared.open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
