//! Who sends a request: judged once, before anything of its body is read, and then in the request's extensions.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sluice_access::{Identity, RefusedRequest, forget_credentials};
use sluice_broker::now_ms;

use super::Service;
use super::refusal::Refusal;

/// Lets in whom [`sluice_access::Access`] lets in.
pub(super) async fn identify(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    // Whoever serves these routes may have judged already.
    if request.extensions().get::<Identity>().is_some() {
        return next.run(request).await;
    }
    let asked = sluice_access::Request::of(&request);
    match service.settings.access.identify(&asked, now_ms()).await {
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
            let refusal = Refusal::from(denial);
            service.count(&refusal);
            refusal.into_response()
        }
    }
}
