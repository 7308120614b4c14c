//! A balancer of connections: each goes to the next of its nodes in turn, as layer 4 balancers do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// See the module. Ends, with its connections, when it is dropped.
pub(super) struct Balancer {
    address: SocketAddr,
    turns: Arc<Mutex<Turns>>,
    _stop: DropGuard,
}

struct Turns {
    nodes: Vec<SocketAddr>,
    next: usize,
}

impl Balancer {
    pub(super) async fn start(nodes: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let turns = Arc::new(Mutex::new(Turns { nodes: nodes.to_vec(), next: 0 }));
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (own, token, tasks) = (Arc::clone(&turns), stop.clone(), tracker.clone());
        tracker.spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let node = own.lock().unwrap().take();
                tasks.spawn(token.clone().run_until_cancelled_owned(forward(client, node)));
            }
        }));
        Self { address, turns, _stop: stop.drop_guard() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Somebody else's connection takes a turn.
    pub(super) fn skip_turn(&self) {
        self.turns.lock().unwrap().take();
    }

    /// Connections go to these from now on.
    pub(super) fn turn_to(&self, nodes: &[SocketAddr]) {
        *self.turns.lock().unwrap() = Turns { nodes: nodes.to_vec(), next: 0 };
    }
}

impl Turns {
    fn take(&mut self) -> SocketAddr {
        self.next += 1;
        self.nodes[(self.next - 1) % self.nodes.len()]
    }
}

async fn forward(mut client: TcpStream, node: SocketAddr) {
    if let Ok(mut node) = TcpStream::connect(node).await {
        // However it ends, both ends see it.
        let _ = copy_bidirectional(&mut client, &mut node).await;
    }
}
