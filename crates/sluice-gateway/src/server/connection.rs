//! One connection: what comes before its first request, then hyper, until it ends or a stream leaves with it.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use sluice_failure::{Place, contain};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answering::Answering;
use super::line::Line;
use super::linger::Linger;
use super::lobby::Guest;
use super::opening::{self, OpeningError};
use super::settings::{ListenerSettings, ProxyProtocol};
use super::transit::{GivenUp, attend};
use super::{Ends, head_limit, http2_limits, lobby};
use crate::leave::{Gangway, Leaving};

/// hyper refuses a read buffer below this.
const HEAD_BYTES_LEAST: usize = 8_192;
/// How long a connection may take to end when the node stops: less than the process waits for it.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// Why the listener ends a connection, as metrics count it.
pub(super) const CUT_REASONS: [&str; 7] =
    ["no-room", "proxy-header", "tls", "handshake-timeout", "head-timeout", "malformed", "stalled"];

/// What the connections of a listener share.
pub(super) struct Service {
    pub(super) router: Router,
    pub(super) settings: ListenerSettings,
    http1: http1::Builder,
    http2: http2::Builder<Tasks>,
    pub(super) linger: Linger,
    ends: Ends,
}

/// Where the tasks of HTTP/2 streams run.
#[derive(Clone)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    stall_max: Duration,
}

impl Tasks {
    /// Tasks on `tracker`, each of which ends when its client takes nothing for `stall_max`.
    pub(super) fn new(tracker: &TaskTracker, stall_max: Duration) -> Self {
        Self { tracker: tracker.clone(), stall_max }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        // With the task the stream is reset.
        self.tracker.spawn(contain(Place::Connection, attend(task, self.stall_max)));
    }
}

/// A connection that was accepted.
pub(super) struct Arrival {
    pub(super) service: Arc<Service>,
    pub(super) guest: Arc<Guest>,
    pub(super) peer: SocketAddr,
}

/// What a connection turned out to speak.
enum Opened {
    Http1(Line<TcpStream>),
    Http2(Line<TcpStream>),
    Tls(Box<TlsStream<Line<TcpStream>>>),
}

impl Service {
    pub(super) fn new(router: Router, settings: ListenerSettings, tracker: &TaskTracker, ends: Ends) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_read_timeout)
            .max_buf_size(head_limit::read_bytes_max(&settings).max(HEAD_BYTES_LEAST))
            .max_headers(settings.header_count_max.saturating_add(1));
        let tasks = Tasks::new(tracker, settings.write_stall);
        let http2 = http2_limits::builder(tasks, &settings);
        let linger = Linger::new(tracker, ends.stop.clone());
        Self { router, settings, http1, http2, linger, ends }
    }
}

impl Arrival {
    /// Serves the connection to its end.
    pub(super) async fn attended(self, socket: TcpStream) {
        let stall_max = self.service.settings.write_stall;
        let attended = contain(Place::Connection, attend(self.run(socket), stall_max));
        if attended.await == Ok(Err(GivenUp::Stalled)) {
            count("stalled");
        }
    }

    async fn run(self, socket: TcpStream) {
        sluice_failure::drill("connection");
        let (guest, stop) = (self.guest.clone(), self.service.ends.stop.clone());
        tokio::select! {
            () = guest.shown_out() => count("no-room"),
            () = moment_behind(&stop) => {}
            () = self.serve(socket) => {}
        }
    }

    async fn serve(self, socket: TcpStream) {
        let opening = tokio::time::timeout(self.service.settings.handshake_timeout, self.open(socket));
        let Some(opened) = self.service.ends.stop.run_until_cancelled(opening).await else { return };
        match opened.unwrap_or(Err(OpeningError::Late)) {
            Ok((address, Opened::Http1(line))) => {
                let gangway = Gangway::of(&self.guest);
                if let Some(line) = self.http1(line, Answering::leaving(address, gangway.clone())).await {
                    gangway.board(line.into_socket());
                }
            }
            Ok((address, Opened::Http2(line))) => self.http2(line, address).await,
            Ok((address, Opened::Tls(stream))) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.http2(*stream, address).await;
            }
            Ok((address, Opened::Tls(stream))) => {
                let answering = Answering::staying(address, Gangway::of(&self.guest));
                self.http1(*stream, answering).await;
            }
            Err(error) => {
                error.reason().into_iter().for_each(count);
                tracing::debug!(%error, peer = %self.peer, "a connection ended before its first request");
            }
        }
    }

    /// Who is behind the connection, and what it speaks.
    async fn open(&self, mut socket: TcpStream) -> Result<(SocketAddr, Opened), OpeningError> {
        let ListenerSettings { tls, h2c, write_stall, .. } = &self.service.settings;
        let (address, ahead) = self.behind(&mut socket).await?;
        if let Some(tls) = tls {
            let acceptor = TlsAcceptor::from(tls.config());
            let line = Line::new(socket, ahead, *write_stall, self.guest.clone());
            let stream = acceptor.accept(line).await.map_err(OpeningError::Tls)?;
            return Ok((address, Opened::Tls(Box::new(stream))));
        }
        let (is_http2, ahead) =
            if *h2c { opening::is_http2(&mut socket, ahead).await? } else { (false, ahead) };
        let line = Line::new(socket, ahead, *write_stall, self.guest.clone());
        Ok((address, if is_http2 { Opened::Http2(line) } else { Opened::Http1(line) }))
    }

    /// Who is behind the connection, and what was read of it meanwhile.
    async fn behind(&self, socket: &mut TcpStream) -> Result<(SocketAddr, Bytes), OpeningError> {
        let ListenerSettings { proxies, proxy_protocol, .. } = &self.service.settings;
        if *proxy_protocol == ProxyProtocol::Off || !proxies.trust(self.peer.ip()) {
            return Ok((self.peer, Bytes::new()));
        }
        let opened = opening::proxy_header(socket, *proxy_protocol == ProxyProtocol::Required).await?;
        Ok((opened.source.unwrap_or(self.peer), opened.ahead))
    }

    /// HTTP/1 to its end; the connection, if a stream leaves with it.
    async fn http1<I>(&self, io: I, answering: Answering) -> Option<I>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = answering.service(&self.service, &self.guest);
        let mut connection = self.service.http1.serve_connection(TokioIo::new(io), answer);
        let ended = match self.service.ends.leaving.run_until_cancelled(&mut connection).await {
            Some(ended) => ended,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let error = ended.err()?;
        if error.source().is_some_and(<dyn StdError>::is::<Leaving>) {
            // What the client sent behind its request is in `read_buf` and goes with it: the answer has no
            // end that a second one could follow.
            return Some(connection.into_parts().io.into_inner());
        }
        self.note(&error);
        None
    }

    async fn http2<I>(&self, io: I, address: SocketAddr)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer =
            Answering::staying(address, Gangway::of(&self.guest)).service(&self.service, &self.guest);
        let mut connection = std::pin::pin!(self.service.http2.serve_connection(TokioIo::new(io), answer));
        let rest = self.service.settings.header_read_timeout;
        let Ends { leaving, stop } = &self.service.ends;
        // Who comes to a node that leaves is told so by an answer; a farewell would come before it.
        let farewell = if leaving.is_cancelled() { stop } else { leaving };
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = farewell.cancelled() => None,
            () = self.guest.rested(rest) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    // A peer that does not answer the farewell is not waited for.
                    () = lobby::rests_on(&self.guest, rest) => return,
                }
            }
        };
        if let Err(error) = ended {
            self.note(&error);
        }
    }

    fn note(&self, error: &hyper::Error) {
        let stalled = is_stall(error);
        if error.is_timeout() {
            count("head-timeout");
        } else if error.is_parse() {
            count("malformed");
        } else if stalled {
            count("stalled");
        }
        tracing::debug!(%error, peer = %self.peer, "a connection ended early");
    }
}

/// The node stops, and whoever is still here has had time to take what was on its way.
async fn moment_behind(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_MOMENT).await;
}

/// Whether the peer took nothing for too long.
fn is_stall(error: &(dyn StdError + 'static)) -> bool {
    let of_io =
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    of_io || error.source().is_some_and(is_stall)
}

pub(super) fn count(reason: &'static str) {
    counter!("sluice_connections_cut_total", "reason" => reason).increment(1);
}
