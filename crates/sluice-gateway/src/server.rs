//! The accept loop of a public listener.
//!
//! Neither `axum::serve` nor hyper-util's `auto`: proxies are asked whom they speak for, connections need
//! timers, and streams leave hyper.

mod answering;
mod connection;
mod head_limit;
mod http2_limits;
mod line;
mod linger;
mod lobby;
mod opening;
mod outgoing;
mod settings;
mod tls;
mod transit;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use metrics::counter;
use sluice_diagnostics::{Outage, Repeated, millis};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Arrival, Service};
use self::lobby::Lobby;
pub(crate) use self::lobby::{Doing, Guest, What};
pub use self::settings::{ForwardedField, ListenerSettings, ProxyProtocol, TrustedProxies};
pub use self::tls::{Tls, TlsError, TlsSettings, TlsStatus};
pub(crate) use self::transit::{GivenUp, Term, Transit};

/// How long the loop rests when the process has no descriptor left: those it has must go on being served.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// When a listener and its connections end.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Connections end after the answers and streams under way; who comes anew has one answer.
    pub leaving: CancellationToken,
    /// Nobody is let in any more, and those who are in have a moment to take what is on its way.
    pub stop: CancellationToken,
}

/// Serves `router` on `listener` until the ends. Every request has a [`sluice_access::ClientAddress`] in its
/// extensions.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ListenerSettings,
    tracker: &TaskTracker,
    ends: Ends,
) {
    let lobby = Lobby::new(settings.connections_max);
    publish_zeros();
    let accepted = counter!("sluice_connections_accepted_total");
    let service = Arc::new(Service::new(router, settings, tracker, ends.clone()));
    let mut pauses = Pauses::default();
    while let Some(came) = ends.stop.run_until_cancelled(next(&listener, &lobby)).await {
        match came {
            Ok((socket, peer)) => {
                pauses.accepted(Instant::now());
                accepted.increment(1);
                if let Err(error) = prepare(&socket) {
                    tracing::debug!(%error, "a connection was gone before it was served");
                    continue;
                }
                let arrival = Arrival { service: service.clone(), guest: lobby.enter(), peer };
                tracker.spawn(arrival.attended(socket));
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                pauses.failed(&error, lobby.present(), Instant::now());
                counter!("sluice_accept_pauses_total").increment(1);
                lobby.make_room_at_once();
                tokio::time::sleep(EXHAUSTED_REST).await;
            }
        }
    }
}

/// Tells of times in which nothing can be accepted. They come in bursts while descriptors are short: one line tells of
/// all that are less than a minute apart.
#[derive(Default)]
struct Pauses {
    outage: Outage,
    last: Option<Instant>,
}

impl Pauses {
    const APART: Duration = Duration::from_secs(60);

    fn failed(&mut self, error: &io::Error, connections: usize, now: Instant) {
        self.last = Some(now);
        let what = "cannot accept connections; closing those that have been idle longest";
        match self.outage.failed(now) {
            Some(Repeated::First) => tracing::warn!(%error, connections, "{what}"),
            Some(Repeated::Still { failures, since }) => {
                tracing::warn!(%error, connections, failures, since_ms = millis(since), "still {what}");
            }
            None => {}
        }
    }

    fn accepted(&mut self, now: Instant) {
        let Some(last) = self.last else { return };
        if now.saturating_duration_since(last) >= Self::APART {
            self.last = None;
            let took_ms = self.outage.ended(now).map(millis);
            tracing::info!(took_ms, "accepting connections again");
        }
    }
}

/// Makes counters known before they count: a rate needs a beginning.
fn publish_zeros() {
    for reason in connection::CUT_REASONS {
        counter!("sluice_connections_cut_total", "reason" => reason).increment(0);
    }
    for outcome in ["ok", "failed"] {
        counter!("sluice_tls_reloads_total", "outcome" => outcome).increment(0);
    }
    counter!("sluice_accept_pauses_total").increment(0);
}

/// The next connection, once there is room for it.
async fn next(listener: &TcpListener, lobby: &Lobby) -> io::Result<(TcpStream, SocketAddr)> {
    lobby.room().await;
    listener.accept().await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_that_follow_each_other_are_one_outage() {
        let (mut pauses, begin) = (Pauses::default(), Instant::now());
        let error = io::Error::from_raw_os_error(24);
        for second in 0..30 {
            pauses.failed(&error, 1, begin + Duration::from_secs(second));
            pauses.accepted(begin + Duration::from_secs(second));
        }
        assert!(pauses.outage.lasts());
        pauses.accepted(begin + Duration::from_secs(29) + Pauses::APART);
        assert!(!pauses.outage.lasts());
    }
}
