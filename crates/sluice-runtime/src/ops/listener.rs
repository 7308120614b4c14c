//! The connections of the operations listener. They are few and short, so they are bounded, and the one that rests
//! longest makes room: a crowd of silent ones must leave descriptors for streams, and probes must go on being answered.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sluice_failure::{Panicked, Place, contain};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::{GRACE, hosts, routes};

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take to send the head of a request, its first or another.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take to be made. Profiles take up to a minute.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// How long a client may take nothing of an answer.
const STALL_MAX: Duration = Duration::from_secs(10);
/// How long the loop rests when the process has no descriptor left.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// What the connections share.
struct Listener {
    router: Router,
    hosts: Vec<String>,
    room: Mutex<Room>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Room {
    next: u64,
    /// Those with a request under way.
    busy: usize,
    /// The others, the one that rests longest first.
    resting: BTreeMap<u64, CancellationToken>,
}

/// A connection's place in the room, until it is dropped.
struct Guest {
    listener: Arc<Listener>,
    out: CancellationToken,
    /// Its key among those that rest; `None` while it is busy.
    rests: Mutex<Option<u64>>,
}

/// Serves `router` until `stop`; open requests have a moment then.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    hosts: Vec<String>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) {
    let shared = Arc::new(Listener { router, hosts, room: Mutex::default(), stop: stop.clone() });
    while let Some(came) = stop.run_until_cancelled(listener.accept()).await {
        match came {
            Ok((socket, _)) => {
                // Nobody rests: all are at work, and one more would be one too many.
                let Some(guest) = Guest::enter(&shared) else { continue };
                tracker.spawn(contain(Place::Connection, attend(socket, guest)));
            }
            Err(_) => {
                shared.room().show_out_oldest();
                sleep(EXHAUSTED_REST).await;
            }
        }
    }
}

async fn attend(socket: TcpStream, guest: Guest) {
    let (out, guest) = (guest.out.clone(), Arc::new(guest));
    let stop = guest.listener.stop.clone();
    let answering = {
        let guest = guest.clone();
        service_fn(move |request| {
            let guest = guest.clone();
            async move {
                let _busy = Busy::begin(&guest);
                guest.listener.answer(request).await
            }
        })
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let mut connection = builder.serve_connection(TokioIo::new(Stalling { socket, clock: None }), answering);
    tokio::select! {
        _ = &mut connection => return,
        () = out.cancelled() => return,
        () = stop.cancelled() => {}
    }
    Pin::new(&mut connection).graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

impl Listener {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        if !hosts::are_allowed(request.uri(), request.headers(), &self.hosts) {
            return Ok(refused());
        }
        let answer = async {
            sluice_failure::drill("operations");
            self.router.clone().oneshot(request.map(Body::new)).await
        };
        match timeout(ANSWER_WITHIN, contain(Place::Operations, answer)).await {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Err(Panicked)) => Ok(failed()),
            // The connection ends: its client sends no body, or too slowly.
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(sluice_failure::poisoned)
    }
}

fn refused() -> Response<Body> {
    let detail =
        "this name is not one of the operations listener; use its address, or add the name to ops.hosts";
    routes::problem(
        StatusCode::MISDIRECTED_REQUEST,
        "host-not-allowed",
        "Host not allowed",
        detail.to_owned(),
    )
}

fn failed() -> Response<Body> {
    let detail = "this process failed at this request, and its log says where".to_owned();
    routes::problem(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Internal error", detail)
}

impl Room {
    /// Cuts off the connection that rests longest. Returns whether there was one.
    fn show_out_oldest(&mut self) -> bool {
        let oldest = self.resting.pop_first();
        oldest.inspect(|(_, out)| out.cancel()).is_some()
    }

    fn rest(&mut self, out: CancellationToken) -> u64 {
        let key = self.next;
        self.next += 1;
        self.resting.insert(key, out);
        key
    }
}

impl Guest {
    /// `None` if the room is full of those at work.
    fn enter(listener: &Arc<Listener>) -> Option<Self> {
        let mut room = listener.room();
        if room.busy + room.resting.len() >= CONNECTIONS_MAX && !room.show_out_oldest() {
            return None;
        }
        let out = CancellationToken::new();
        let key = room.rest(out.clone());
        drop(room);
        Some(Self { listener: listener.clone(), out, rests: Mutex::new(Some(key)) })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(key) = self.rests.get_mut().unwrap_or_else(sluice_failure::poisoned) {
            self.listener.room().resting.remove(key);
        }
    }
}

/// A request under way: its connection does not rest meanwhile.
struct Busy<'a>(&'a Guest);

impl<'a> Busy<'a> {
    fn begin(guest: &'a Guest) -> Self {
        let mut rests = guest.rests.lock().unwrap_or_else(sluice_failure::poisoned);
        let mut room = guest.listener.room();
        if let Some(key) = rests.take() {
            room.resting.remove(&key);
        }
        room.busy += 1;
        Self(guest)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut rests = self.0.rests.lock().unwrap_or_else(sluice_failure::poisoned);
        let mut room = self.0.listener.room();
        room.busy -= 1;
        *rests = Some(room.rest(self.0.out.clone()));
    }
}

/// A socket whose peer must take something now and then while there is something for it.
struct Stalling {
    socket: TcpStream,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    fn watch<T>(&mut self, context: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.clock = None;
            return progress;
        }
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        ready!(clock.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
