//! What somebody sends to say who they are, and the keys by which it is judged.

use std::sync::{Arc, LazyLock};

use axum::http::{self, HeaderMap, HeaderValue, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use ring::hmac;
use sluice_access::{
    Access, AccessSettings, Algorithm, ApiKeyHash, Denial, Fetch, Identity, IssuerSettings, KeySource,
    Request, SecretText, forget_credentials,
};
use sluice_wire::{Topic, TopicTemplate};

use crate::input::assert_message;

const NOW_S: u64 = 1_800_000_000;
const SECRET: &str = "a secret of thirty-two characters";
/// Stands in what must not be repeated.
const MARK: &str = "Zq7xW";

/// The first byte chooses what the others are: a token, the claims or the header of a well signed one, a query and
/// cookies, a key set, the hash of an API key. Nobody is let in without a signature, nobody opens more than the
/// claims say, and no refusal repeats what was sent.
pub fn token(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(bytes) else { return };
    match choice % 6 {
        0 => forged(text),
        1 => claims(text),
        2 => header(text),
        3 => places(text),
        4 => key_set(text),
        _ => api_key(text),
    }
}

fn access(keys: KeySource, algorithms: Vec<Algorithm>) -> Result<Access, String> {
    let nothing: Fetch = Arc::new(|url| Box::pin(async move { panic!("{url} must not be fetched") }));
    let issuer = IssuerSettings { issuer: None, audience: Vec::new(), algorithms, kid: None, keys };
    let settings = AccessSettings {
        issuers: vec![issuer],
        query_token: true,
        subject_subscribe: vec![TopicTemplate::parse("user/{sub}/**").unwrap()],
        ..AccessSettings::default()
    };
    Access::new(settings, &nothing).map_err(|(_, error)| error.to_string())
}

/// One issuer with one secret.
fn usual() -> &'static Access {
    static ACCESS: LazyLock<Access> = LazyLock::new(|| {
        access(KeySource::Secret(SecretText(SECRET.to_owned())), vec![Algorithm::HS256]).unwrap()
    });
    &ACCESS
}

/// The judgement, which waits for nothing, since nothing is to be fetched.
fn judged(method: &Method, headers: &HeaderMap, query: Option<&str>) -> Result<Identity, Denial> {
    let request = Request { method, headers, authority: None, query };
    let judgement = usual().identify(&request, NOW_S * 1_000).now_or_never().unwrap();
    if let Err(denial) = &judgement {
        assert_message(&denial.problem().detail);
        assert!(!denial.problem().to_json().contains(MARK), "{denial:?}");
    }
    judgement
}

fn bearer(token: &str) -> Option<Result<Identity, Denial>> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    Some(judged(&Method::GET, &HeaderMap::from_iter([(header::AUTHORIZATION, value)]), None))
}

fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn forged(text: &str) {
    let parts: Vec<&str> = text.splitn(3, '\n').collect();
    let encoded = match parts[..] {
        [header, claims, signature] => format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims),
            URL_SAFE_NO_PAD.encode(signature)
        ),
        _ => text.to_owned(),
    };
    for token in [text.to_owned(), encoded, format!("{MARK}.{text}"), format!("{text}.{MARK}.")] {
        assert!(bearer(&token).is_none_or(|judgement| judgement.is_err()), "{token} was let in");
    }
}

fn claims(text: &str) {
    let Some(Ok(identity)) = bearer(&signed(r#"{"alg":"HS256"}"#, text)) else { return };
    let claims: serde_json::Value = serde_json::from_str(text).unwrap();
    let subject = identity.subject.as_deref();
    assert_eq!(subject, claims["sub"].as_str());
    assert!(subject.is_none_or(|subject| !subject.contains(char::is_control)));
    assert!(identity.expires_at_ms.is_some_and(|ms| ms + 10_000 > NOW_S * 1_000), "expired: {text}");
    for own in ["sluice.revocations", "sluice.x/y"] {
        let own: Topic = own.parse().unwrap();
        assert!(!identity.grants.may_subscribe(&own) && !identity.grants.may_publish(&own));
    }
    // The template opens what is behind the subject's own segment, and a claim what it says.
    let other: Topic = "user/somebody-else/x".parse().unwrap();
    let says_so = ["*", "somebody-else", "\\"].iter().any(|part| text.contains(part));
    assert!(says_so || !identity.grants.may_subscribe(&other), "{text}");
    assert!(text.contains("publish") || text.contains('\\') || identity.grants.publish.is_empty());
}

fn header(text: &str) {
    let claims = format!(r#"{{"sub":"u7","exp":{}}}"#, NOW_S + 600);
    let Some(Ok(_)) = bearer(&signed(text, &claims)) else { return };
    let header: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(header["alg"], "HS256");
    assert!(["crit", "enc", "zip"].iter().all(|name| header[name].is_null()), "{text}");
}

/// The first line is a query, each further one a cookie header.
fn places(text: &str) {
    let mut lines = text.split('\n');
    let query = lines.next().unwrap();
    let mut headers = HeaderMap::new();
    lines.take(8).filter_map(|line| HeaderValue::try_from(line).ok()).for_each(|value| {
        headers.append(header::COOKIE, value);
    });
    for method in [Method::GET, Method::POST] {
        let judgement = judged(&method, &headers, Some(query));
        assert!(judgement.is_err() || judgement.is_ok_and(|identity| !identity.is_named()));
    }
    let Ok(mut request) = http::Request::builder().uri(format!("/v1/events?{query}")).body(()) else {
        return;
    };
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    *request.headers_mut() = headers;
    forget_credentials(&mut request);
    assert!(
        !request.headers().contains_key(header::COOKIE)
            && !request.headers().contains_key(header::AUTHORIZATION)
    );
    let shown = request.uri().query().unwrap_or_default();
    assert!(form_urlencoded::parse(shown.as_bytes()).all(|(name, _)| name != "access_token"), "{shown}");
}

fn key_set(text: &str) {
    for algorithms in [Vec::new(), vec![Algorithm::RS256], vec![Algorithm::ES256]] {
        let _ = access(KeySource::Public(text.to_owned()), algorithms);
    }
    let secret = KeySource::Secret(SecretText(format!("{text}{MARK}")));
    let said = match access(secret, vec![Algorithm::HS512]) {
        Ok(access) => format!("{access:?}"),
        Err(error) => error,
    };
    assert!(!said.contains(MARK), "{said}");
}

fn api_key(text: &str) {
    match text.parse::<ApiKeyHash>() {
        Ok(hash) => assert_eq!(hash.to_string().parse::<ApiKeyHash>(), Ok(hash)),
        Err(error) => assert_message(&error.to_string()),
    }
    assert_ne!(ApiKeyHash::of(text), ApiKeyHash::of(&format!("{text} ")));
}
