//! `/v1/revocations` for applications: an API key with the grant `revoke` refuses credentials and sees which are
//! refused. What a revocation is and where it is kept is not known here.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sluice_access::{Denial, Identity, Rate, Rates};

use super::Service;
use super::body::Parts;
use super::refusal::Refusal;

/// A request to revoke is not longer. Bytes.
const BODY_BYTES_MAX: usize = 16 << 10;
/// API keys whose rates are told apart.
const KEYS_MAX: usize = 1_024;

type Answer = Pin<Box<dyn Future<Output = Result<Value, RevokeError>> + Send>>;

/// Why nothing was revoked; each with what would be right, or what is known of the revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokeError {
    /// The request is wrong.
    Wrong(String),
    /// Applications may not revoke this.
    NotAllowed(String),
    /// As many revocations are in force as may be.
    TooMany(String),
    /// It cannot be written down now.
    Unavailable(String),
}

/// Who knows the revocations and writes them down. Clones share it.
#[derive(Clone)]
pub struct Revoking {
    shared: Arc<Shared>,
}

struct Shared {
    list: Box<dyn Fn() -> Value + Send + Sync>,
    revoke: Box<dyn Fn(Vec<u8>, Arc<str>) -> Answer + Send + Sync>,
    rates: Mutex<Rates>,
}

impl Revoking {
    /// `list` tells the revocations in force; `revoke` does what a body says, for the API key of this subject, which may
    /// ask at `rate`.
    pub fn new<F>(
        rate: Rate,
        list: impl Fn() -> Value + Send + Sync + 'static,
        revoke: impl Fn(Vec<u8>, Arc<str>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value, RevokeError>> + Send + 'static,
    {
        let rates = Mutex::new(Rates::new(rate, KEYS_MAX, Instant::now()));
        let revoke = Box::new(move |body, by| -> Answer { Box::pin(revoke(body, by)) });
        Self { shared: Arc::new(Shared { list: Box::new(list), revoke, rates }) }
    }

    fn take(&self, subject: &Arc<str>) -> Result<(), Duration> {
        let mut rates = self.shared.rates.lock().unwrap_or_else(sluice_failure::poisoned);
        let now = Instant::now();
        rates.look(subject, now).map(|()| rates.take(subject, now))
    }
}

impl fmt::Debug for Revoking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revoking")
    }
}

pub(super) async fn list(
    State(service): State<Service>,
    Extension(caller): Extension<Identity>,
) -> Result<Response, Refusal> {
    let (revoking, _) = enter(&service, &caller)?;
    Ok(json(StatusCode::OK, &(revoking.shared.list)()))
}

pub(super) async fn revoke(
    State(service): State<Service>,
    Extension(caller): Extension<Identity>,
    request: Request,
) -> Result<Response, Refusal> {
    let (revoking, subject) = enter(&service, &caller)?;
    let sender = service.pace.sender(request.extensions());
    let mut permit = service.requests.acquire(&sender).map_err(Refusal::no_place)?;
    let idle_max = service.settings.body_idle_max;
    let body = Parts::whole(request.into_body(), BODY_BYTES_MAX, idle_max).await?;
    permit.body_read();
    let revoked = (revoking.shared.revoke)(body.to_vec(), subject).await?;
    Ok(json(StatusCode::CREATED, &revoked))
}

/// Whether the caller may revoke, and how it is called: before anything of the body is read.
fn enter(service: &Service, caller: &Identity) -> Result<(Revoking, Arc<str>), Refusal> {
    let denied = |denial: Denial| {
        service.settings.access.count(&denial);
        Refusal::from(denial)
    };
    let subject = caller.subject.clone().filter(|_| caller.may_revoke());
    let subject =
        subject.ok_or_else(|| denied(Denial::RevokeNotGranted { named: !caller.is_anonymous() }))?;
    let revoking = service.settings.revoking.clone().ok_or_else(Refusal::nothing_to_revoke)?;
    revoking.take(&subject).map_err(Refusal::revokes_too_fast)?;
    Ok((revoking, subject))
}

impl From<RevokeError> for Refusal {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Wrong(detail) => {
                Self::new(StatusCode::BAD_REQUEST, "bad-revocation", "The revocation is wrong", detail)
            }
            RevokeError::NotAllowed(detail) => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "Not granted", detail)
            }
            RevokeError::TooMany(detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "revocations-max", "Too many revocations", detail)
            }
            RevokeError::Unavailable(detail) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "broker-unavailable",
                "The broker is unavailable",
                detail,
            )
            .retry_after(Duration::from_secs(1)),
        }
    }
}

impl Refusal {
    fn nothing_to_revoke() -> Self {
        let detail =
            "no credentials count here (auth.jwt, auth.issuers, auth.api_keys), so none can be revoked";
        Self::new(StatusCode::NOT_FOUND, "no-credentials", "Nothing to revoke", detail)
    }

    fn revokes_too_fast(wait: Duration) -> Self {
        let detail = "this API key revokes faster than limits.revoke_per_second; nothing was revoked, try again after the \
                      time that retry-after says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "revoke-rate", "Too fast", detail).retry_after(wait)
    }
}

fn json(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
