//! One connection: what comes before its first request, then hyper, until it ends or a stream leaves with it.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sluice_access::ClientAddress;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::line::Line;
use super::opening::{self, OpeningError};
use super::settings::{ListenerSettings, ProxyProtocol};
use crate::leave::{Exit, Gangway, Leaving};

/// hyper refuses a read buffer below this.
const HEAD_BYTES_LEAST: usize = 8_192;
/// With this many fields hyper needs no memory of its own for them.
const HEADERS_ON_STACK: usize = 100;

/// What the connections of a listener share.
pub(super) struct Service {
    router: Router,
    settings: ListenerSettings,
    http1: http1::Builder,
    stop: CancellationToken,
}

/// A connection that was accepted.
pub(super) struct Arrival {
    pub(super) service: Arc<Service>,
    pub(super) peer: SocketAddr,
}

/// Who is at the other end of a connection: the socket's peer, or whom its PROXY header names.
#[derive(Clone)]
struct Peer {
    service: Arc<Service>,
    address: SocketAddr,
    gangway: Gangway,
}

impl Service {
    pub(super) fn new(router: Router, settings: ListenerSettings, stop: CancellationToken) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_read_timeout)
            .max_buf_size(settings.header_bytes_max.max(HEAD_BYTES_LEAST));
        if settings.header_count_max != HEADERS_ON_STACK {
            http1.max_headers(settings.header_count_max);
        }
        Self { router, settings, http1, stop }
    }
}

impl Arrival {
    pub(super) async fn run(self, mut socket: TcpStream) {
        let timeout = self.service.settings.handshake_timeout;
        let opening = tokio::time::timeout(timeout, self.open(&mut socket));
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.service.stop.cancelled() => return,
        };
        let (address, ahead) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return tracing::debug!(%error, peer = %self.peer, "a connection was refused"),
            Err(_) => return tracing::debug!(peer = %self.peer, "a connection said nothing in time"),
        };
        let line = Line::new(socket, ahead, self.service.settings.write_stall);
        let peer = Peer { service: self.service, address, gangway: Gangway::default() };
        peer.serve(line).await;
    }

    /// Who is behind the connection, and what was read of it meanwhile.
    async fn open(&self, socket: &mut TcpStream) -> Result<(SocketAddr, Bytes), OpeningError> {
        let ListenerSettings { proxies, proxy_protocol, .. } = &self.service.settings;
        if *proxy_protocol == ProxyProtocol::Off || !proxies.trust(self.peer.ip()) {
            return Ok((self.peer, Bytes::new()));
        }
        let opened = opening::proxy_header(socket, *proxy_protocol == ProxyProtocol::Required).await?;
        Ok((opened.source.unwrap_or(self.peer), opened.ahead))
    }
}

impl Peer {
    async fn serve(self, line: Line<TcpStream>) {
        let (service, gangway) = (self.service.clone(), self.gangway.clone());
        let answer = service_fn(move |request| self.answer(request));
        let mut connection = service.http1.serve_connection(TokioIo::new(line), answer);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = service.stop.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        match ended {
            Ok(()) => {}
            Err(error) if error.source().is_some_and(<dyn std::error::Error>::is::<Leaving>) => {
                // What the client sent behind its request is in `read_buf` and goes with it: the answer has
                // no end that a second one could follow.
                gangway.board(connection.into_parts().io.into_inner().into_socket());
            }
            Err(error) => tracing::debug!(%error, "a connection ended early"),
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Leaving>> + use<> {
        let client = self.service.settings.proxies.client(self.address.ip(), request.headers());
        request.extensions_mut().insert(ConnectInfo(self.address));
        request.extensions_mut().insert(ClientAddress(client));
        let exit = Exit::of(&request);
        let gangway = self.gangway.clone();
        let answer = self.service.router.clone().oneshot(request.map(Body::new));
        async move {
            let Ok(response) = answer.await;
            gangway.pass(response, exit)
        }
    }
}
