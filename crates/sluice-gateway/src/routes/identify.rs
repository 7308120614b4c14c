//! Who sends a request: judged once, before anything else looks at it, and then in the request's extensions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use sluice_access::{Denial, Identity, RefusedRequest, forget_credentials};
use sluice_broker::now_ms;

use super::expired::{self, Caller};
use super::problem::Answer;
use super::{Edge, events};

/// Lets in whom [`sluice_access::Access`] lets in. Preflights and other questions about the resource itself are nobody's.
pub(super) async fn identify(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    // Whoever serves these routes may have judged already.
    if request.method() == Method::OPTIONS || request.extensions().get::<Identity>().is_some() {
        return next.run(request).await;
    }
    let asked = sluice_access::Request::of(&request);
    match edge.access.identify(&asked, now_ms()).await {
        Ok(identity) => {
            forget_credentials(&mut request);
            let subject = identity.subject.clone();
            request.extensions_mut().insert(identity);
            let mut response = next.run(request).await;
            if let Some(refused) = response.extensions_mut().get_mut::<RefusedRequest>() {
                refused.subject = subject;
            }
            response
        }
        Err(denial) => {
            let fingerprint = edge.access.fingerprint(&asked);
            refuse(&edge, &request, &denial, fingerprint)
        }
    }
}

/// EventSource takes every status for the end, so what may be different in a moment is no status for it.
fn refuse(edge: &Edge, request: &Request, denial: &Denial, fingerprint: Option<[u8; 32]>) -> Response {
    let opens = request.method() == Method::GET && request.uri().path() == events::PATH;
    let (query, headers) = (request.uri().query(), request.headers());
    if opens && denial.is_transient() && !events::wants_status(query, headers) {
        return events::shed(denial.reason(), edge.runs.ground.retry(), query, headers);
    }
    match expired::reason(edge, denial, query, headers).filter(|_| opens) {
        Some(reason) => {
            let caller = fingerprint.map_or(Caller::Unknown, Caller::Credentials);
            expired::tell(edge, reason, caller, query, headers)
        }
        None => Answer::from(denial).into_response(),
    }
}
