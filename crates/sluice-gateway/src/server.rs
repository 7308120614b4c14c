//! The accept loop of a public listener, and one hyper connection a socket.
//!
//! Neither `axum::serve` nor hyper-util's `auto`: connections need a timer for slow request heads, and
//! streams leave hyper.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::leave::{Exit, Gangway, Leaving};
use crate::settings::Limits;

/// How long the loop rests when the process has no descriptor left: those it has must go on being served.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// Serves `router` on `listener` until `stop`; connections then end after the answer under way.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    tracker: &TaskTracker,
    stop: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(limits.header_bytes_max.max(8_192));
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
                let connection = Connection { router: router.clone(), peer, gangway: Gangway::default() };
                tracker.spawn(connection.run(builder.clone(), socket, stop.clone()));
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

/// One connection and what its requests share.
struct Connection {
    router: Router,
    peer: SocketAddr,
    gangway: Gangway,
}

impl Connection {
    async fn run(self, builder: http1::Builder, socket: TcpStream, stop: CancellationToken) {
        let gangway = self.gangway.clone();
        let service = service_fn(move |request| self.answer(request));
        let mut connection = builder.serve_connection(TokioIo::new(socket), service);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = stop.cancelled() => None,
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
                gangway.board(connection.into_parts().io.into_inner());
            }
            Err(error) => tracing::debug!(%error, "a connection ended early"),
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Leaving>> + use<> {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let exit = Exit::of(&request);
        let gangway = self.gangway.clone();
        let answer = self.router.clone().oneshot(request.map(Body::new));
        async move {
            let Ok(response) = answer.await;
            gangway.pass(response, exit)
        }
    }
}
