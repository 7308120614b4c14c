//! From a request of a connection to its answer: who asks, whether the request is sound, the router, and
//! whether the answer leaves.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::{HttpService, service_fn};
use sluice_access::ClientAddress;
use sluice_wire::Problem;
use tower::ServiceExt as _;

use super::connection::Service;
use super::lobby::{Doing, Guest, What};
use crate::leave::{Exit, Gangway, Leaving};
use crate::routes::Answer;

/// What the requests of a connection share.
pub(super) struct Answering {
    /// The socket's peer, or whom its PROXY header names.
    address: SocketAddr,
    gangway: Gangway,
    may_leave: bool,
}

impl Answering {
    /// Streams leave hyper with the connection.
    pub(super) fn leaving(address: SocketAddr, gangway: Gangway) -> Self {
        Self { address, gangway, may_leave: true }
    }

    /// Streams are driven by hyper.
    pub(super) fn staying(address: SocketAddr, gangway: Gangway) -> Self {
        Self { address, gangway, may_leave: false }
    }

    /// The connection's service for hyper.
    pub(super) fn service(
        self,
        service: &Arc<Service>,
        guest: &Arc<Guest>,
    ) -> impl HttpService<Incoming, ResBody = Body, Error = Leaving, Future: Send + 'static> + use<> {
        let (service, guest) = (service.clone(), guest.clone());
        service_fn(move |request| self.answer(&service, &guest, request))
    }

    fn answer(
        &self,
        service: &Service,
        guest: &Arc<Guest>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Leaving>> + use<> {
        let doing = guest.does(What::Request);
        let guest = guest.clone();
        let client = service.settings.proxies.client(self.address.ip(), request.headers());
        request.extensions_mut().insert(ConnectInfo(self.address));
        request.extensions_mut().insert(ClientAddress(client));
        let exit = if self.may_leave { Exit::of(&request) } else { Exit::none() };
        let (version, problem, gangway) = (request.version(), unsound(&request), self.gangway.clone());
        let answer = service.router.clone().oneshot(request.map(Body::new));
        async move {
            if let Some(problem) = problem {
                let mut response = Answer::from(problem).into_response();
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                return Ok(response);
            }
            let Ok(response) = answer.await;
            let answered = gangway.pass(response, exit, version);
            drop(doing);
            if version != Version::HTTP_2 {
                return answered;
            }
            // Until its answers have been taken, an HTTP/2 connection does not rest.
            let doing = guest.does(What::Answer);
            answered.map(|response| response.map(|body| Body::new(Accompanied { body, _doing: doing })))
        }
    }
}

/// What no proxy before this node may understand otherwise than the node does. Source: RFC 9112, section 3.2.
fn unsound<B>(request: &Request<B>) -> Option<Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let title = "Malformed request";
    match (request.version(), hosts) {
        (Version::HTTP_11, 0) => {
            Some(Problem::new(400, "host-missing", title, "a request of HTTP/1.1 must have a Host field"))
        }
        (_, 2..) => {
            Some(Problem::new(400, "host-repeated", title, "a request must have one Host field only"))
        }
        _ => None,
    }
}

/// A body, and what lasts as long.
struct Accompanied {
    body: Body,
    _doing: Doing,
}

impl HttpBody for Accompanied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
