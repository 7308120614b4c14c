//! The accept loop of a public listener.
//!
//! Neither `axum::serve` nor hyper-util's `auto`: proxies are asked whom they speak for, connections need
//! timers, and streams leave hyper.

mod connection;
mod line;
mod opening;
mod settings;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Arrival, Service};
pub use self::settings::{ForwardedField, ListenerSettings, ProxyProtocol, TrustedProxies};

/// How long the loop rests when the process has no descriptor left: those it has must go on being served.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// Serves `router` on `listener` until `stop`; connections then end after the answer under way. Every request
/// has a [`sluice_access::ClientAddress`] in its extensions.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ListenerSettings,
    tracker: &TaskTracker,
    stop: CancellationToken,
) {
    let service = Arc::new(Service::new(router, settings, stop.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Err(error) = prepare(&socket) {
                    tracing::debug!(%error, "a connection was gone before it was served");
                    continue;
                }
                tracker.spawn(Arrival { service: service.clone(), peer }.run(socket));
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted for a moment");
                tokio::time::sleep(EXHAUSTED_REST).await;
            }
        }
    }
}

/// Makes a connection notice a peer that is gone without a word.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    // What is sent and never acknowledged ends the connection long before the kernel's quarter of an hour.
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}

/// Failures that say nothing of this process.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
