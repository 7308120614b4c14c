//! From a request of a connection to its answer: who asks, whether the request is sound, the router, and
//! whether the answer leaves.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::{HttpService, service_fn};
use sluice_access::ClientAddress;
use sluice_failure::{Panicked, Place, contain};
use sluice_wire::Problem;
use tower::ServiceExt as _;

use super::connection::Service;
use super::head_limit;
use super::lobby::{Guest, What};
use super::outgoing::Outgoing;
use super::transit::Transit;
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
    ) -> impl HttpService<Incoming, ResBody = Outgoing, Error = Leaving, Future: Send + 'static> + use<> {
        let (service, guest) = (service.clone(), guest.clone());
        service_fn(move |request| self.answer(&service, &guest, request))
    }

    fn answer(
        &self,
        service: &Service,
        guest: &Arc<Guest>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Outgoing>, Leaving>> + use<> {
        let doing = guest.does(What::Request);
        let guest = guest.clone();
        let client = service.settings.proxies.client(self.address.ip(), request.headers());
        request.extensions_mut().insert(ConnectInfo(self.address));
        request.extensions_mut().insert(ClientAddress(client));
        let exit = if self.may_leave { Exit::of(&request) } else { Exit::none() };
        let problem = unsound(&request).or_else(|| head_limit::exceeded(&request, &service.settings));
        let (version, gangway) = (request.version(), self.gangway.clone());
        let method = request.method().clone();
        let answer = service.router.clone().oneshot(service.linger.body(request));
        async move {
            // Not before: the task is that of the answer from here on.
            let transit = Transit::of_this_task();
            if let Some(problem) = problem {
                let mut response = Answer::from(problem).into_response();
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                return Ok(response.map(|body| Outgoing::new(body, transit, None)));
            }
            let answer = async {
                sluice_failure::drill("request");
                answer.await
            };
            let response = match contain(Place::Request, answer).await {
                Ok(Ok(response)) => response,
                Err(Panicked) => Answer::from(failed(&method)).into_response(),
            };
            // Where a stream begins is found out for this request too, and may cost no more than it.
            let passing = gangway.pass(response, exit, version, &transit);
            let answered = match contain(Place::Request, passing).await {
                Ok(answered) => answered,
                Err(Panicked) => Ok(Answer::from(failed(&method)).into_response()),
            };
            drop(doing);
            // Until its answers have been taken, an HTTP/2 connection does not rest.
            let doing = (version == Version::HTTP_2).then(|| guest.does(What::Answer));
            answered.map(|response| response.map(|body| Outgoing::new(body, transit, doing)))
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

/// The answer to a request that panicked: the log of the node says where.
fn failed(method: &Method) -> Problem {
    let detail =
        "this node failed at this request, and its log says where; the request may work on another node";
    let unknown =
        "this node failed at this request, and its log says where; whether events were published is unknown";
    let detail = if method == Method::POST { unknown } else { detail };
    Problem::new(500, "internal-error", "Internal error", detail)
}
