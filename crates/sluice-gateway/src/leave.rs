//! How a stream's socket leaves hyper.
//!
//! The handler answers with an ordinary response that carries a [`Ticket`], so every layer sees it. The
//! service around the router then takes the ticket: if the request may leave, it serialises the head that
//! the layers made, puts all into the connection's [`Gangway`], and fails with [`Leaving`]; hyper has
//! written nothing, and the connection's driver owns the socket. Otherwise the response is given a body
//! that hyper drives. What hyper does here is not promised by its documentation: its version is pinned, and
//! `tests/it/leaving.rs` holds every case.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::body::{Body as _, Incoming};
use sluice_fanout::Framing;
use tokio::net::TcpStream;

use crate::admission::Place;
use crate::beginning::Beginning;
use crate::body::{Carrier, SseBody};
use crate::ends::Ends;
use crate::hub::feeds::ViewKey;
use crate::runs::Runs;
use crate::server::{Guest, Transit, What};
use crate::socket::{self, Departed};
use crate::subscription::Subscription;

/// An admitted stream, in the extensions of its response. Whoever takes it serves it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket(Arc<Mutex<Option<Admitted>>>);

#[derive(Debug)]
struct Admitted {
    runs: Arc<Runs>,
    subscription: Subscription,
    place: Place,
    ends: Option<Ends>,
}

impl Ticket {
    pub(crate) fn new(runs: Arc<Runs>, subscription: Subscription, place: Place, ends: Option<Ends>) -> Self {
        Self(Arc::new(Mutex::new(Some(Admitted { runs, subscription, place, ends }))))
    }

    fn take(&self) -> Option<Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The error that makes hyper let go of a connection.
#[derive(Debug, thiserror::Error)]
#[error("the stream leaves hyper")]
pub(crate) struct Leaving;

/// Whether, and how, the answer to a request may leave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exit(Option<Framing>);

impl Exit {
    /// The connection is hyper's to its end.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Only a GET without a body may: the rest of a body would be read as a request, or as nothing.
    pub(crate) fn of(request: &Request<Incoming>) -> Self {
        let bare_get = request.method() == Method::GET && request.body().is_end_stream();
        Self(match request.version() {
            Version::HTTP_11 if bare_get => Some(Framing::Chunked),
            Version::HTTP_10 if bare_get => Some(Framing::Raw),
            _ => None,
        })
    }
}

/// Where a leaving stream waits for its connection's driver. Clones share it.
#[derive(Clone)]
pub(crate) struct Gangway {
    waiting: Arc<Mutex<Option<Waiting>>>,
    guest: Arc<Guest>,
}

/// A stream whose beginning is fixed, and its head.
struct Waiting {
    admitted: Admitted,
    shard: u16,
    beginning: Beginning,
    framing: Framing,
    head: Bytes,
}

impl Gangway {
    /// The gangway of a connection.
    pub(crate) fn of(guest: &Arc<Guest>) -> Self {
        Self { waiting: Arc::default(), guest: guest.clone() }
    }

    /// Lets a response that carries a ticket leave, or gives it a body, once it is fixed where its stream begins.
    pub(crate) async fn pass(
        &self,
        mut response: Response<Body>,
        exit: Exit,
        version: Version,
        transit: &Transit,
    ) -> Result<Response<Body>, Leaving> {
        let ticket = response.extensions_mut().remove::<Ticket>();
        let Some(admitted) = ticket.and_then(|ticket| ticket.take()) else { return Ok(response) };
        let shard = exit.0.map(|_| admitted.runs.ground.hub.lightest_shard());
        let beginning = {
            // It has a place among the streams, and needs none in the lobby.
            let _doing = self.guest.does(What::Stream);
            let view = shard.map_or(ViewKey::Polled, ViewKey::Shard);
            Beginning::fix(&admitted.runs.ground, view, &admitted.subscription).await
        };
        let (Some(framing), Some(shard)) = (exit.0, shard) else {
            let Admitted { runs, subscription, place, ends } = admitted;
            // The router has measured the empty body that stood here for the stream.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            if version < Version::HTTP_2 {
                // It ends with its stream, as one that left does: the next may be for another node.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let carrier = Carrier { doing: self.guest.does(What::Stream), transit: transit.clone() };
            let body = SseBody::new(runs, subscription, beginning, place, ends).carried_by(carrier);
            return Ok(response.map(|_| Body::new(body)));
        };
        let head = head(&response, framing);
        let waiting = Waiting { admitted, shard, beginning, framing, head };
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
        Err(Leaving)
    }

    /// Serves the stream that waits on `socket`.
    pub(crate) fn board(&self, socket: TcpStream) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Waiting { admitted, shard, beginning, framing, head }) = waiting else { return };
        let Admitted { runs, subscription, place, ends } = admitted;
        socket::start(&runs, Departed { socket, framing, head, subscription, shard, beginning, place, ends });
    }
}

/// The response's head as HTTP/1.1 writes it. HTTP/1.0 clients are answered so too, without chunks.
/// Source: RFC 9112, sections 2.3 and 6.
fn head(response: &Response<Body>, framing: Framing) -> Bytes {
    let mut head = Vec::with_capacity(512);
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    head.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in response.headers().iter().filter(|(name, _)| !is_of_the_connection(name)) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if !response.headers().contains_key(header::DATE) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        head.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    if framing == Framing::Chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    head.extend_from_slice(b"connection: close\r\n\r\n");
    head.into()
}

fn is_of_the_connection(name: &http::HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name)
}
