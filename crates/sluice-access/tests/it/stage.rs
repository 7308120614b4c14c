//! What the tests begin with.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use sluice_access::{
    Access, AccessSettings, Algorithm, Denial, Fetch, Identity, IssuerSettings, KeySource, Request,
    SecretText,
};
use sluice_testkit::TokenSigner;
use sluice_wire::Topic;

/// The time of all tests: seconds since 1970.
pub(crate) const NOW_S: u64 = 1_800_000_000;
pub(crate) const NOW_MS: u64 = NOW_S * 1_000;
pub(crate) const SECRET: &str = "a secret of thirty-two characters";

pub(crate) fn issuer(algorithm: Algorithm, keys: KeySource) -> IssuerSettings {
    IssuerSettings { issuer: None, audience: Vec::new(), algorithms: vec![algorithm], kid: None, keys }
}

pub(crate) fn secret(text: &str) -> KeySource {
    KeySource::Secret(SecretText(text.to_owned()))
}

pub(crate) fn settings(issuers: Vec<IssuerSettings>) -> AccessSettings {
    AccessSettings { issuers, leeway: Duration::from_secs(10), ..AccessSettings::default() }
}

pub(crate) fn access(issuers: Vec<IssuerSettings>) -> Access {
    Access::new(settings(issuers), &no_fetch()).unwrap()
}

/// Whoever fetches fails the test.
pub(crate) fn no_fetch() -> Fetch {
    Arc::new(|url| Box::pin(async move { panic!("{url} must not be fetched") }))
}

pub(crate) fn hs256() -> TokenSigner {
    TokenSigner::secret("HS256", SECRET.as_bytes()).unwrap()
}

/// Good claims, with `more` of them.
pub(crate) fn claims(more: &Value) -> Value {
    let mut claims = json!({"sub": "u7", "exp": NOW_S + 600, "sluice": {"subscribe": ["orders/*"]}});
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(crate) async fn bearer_at(access: &Access, token: &str, now_ms: u64) -> Result<Identity, Denial> {
    let headers =
        HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
    access
        .identify(&Request { method: &Method::GET, headers: &headers, query: None, authority: None }, now_ms)
        .await
}

pub(crate) async fn bearer(access: &Access, token: &str) -> Result<Identity, Denial> {
    bearer_at(access, token, NOW_MS).await
}

/// Why a token is refused.
pub(crate) async fn refusal(access: &Access, token: &str) -> &'static str {
    let denial = bearer(access, token).await.unwrap_err();
    let problem = denial.problem();
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!problem.to_json().contains(part), "{} repeats the token", problem.to_json());
    }
    denial.reason()
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}
