//! Who sends a request: judged once, before anything of its body is read, and then in the request's extensions.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sluice_access::{Identity, forget_credentials};

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
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(denial) => {
            let refusal = Refusal::from(denial);
            service.count(&refusal);
            refusal.into_response()
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
