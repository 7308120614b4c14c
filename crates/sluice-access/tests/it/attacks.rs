//! What is known to have been tried on readers of tokens elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;
use sluice_access::{Access, Algorithm, KeyError, KeySource};
use sluice_testkit::{TokenSigner, key_set};

use crate::stage::{
    NOW_S, SECRET, access, bearer, claims, hs256, issuer, no_fetch, refusal, secret, settings,
};

/// HMAC with the public key as its secret: the reader must not let the token choose what a key is.
#[tokio::test]
async fn a_public_key_is_never_a_secret() {
    let signer = TokenSigner::pair("RS256").unwrap();
    let pem = signer.public_pem().unwrap();
    let good = signer.token(&claims(&json!({}))).unwrap();
    let pinned = access(vec![issuer(Algorithm::RS256, KeySource::Public(pem.clone()))]);
    assert!(bearer(&pinned, &good).await.is_ok());
    for secret in [pem.clone(), pem.trim().to_owned(), key_set(&[&signer]).unwrap()] {
        for alg in ["HS256", "HS384", "HS512"] {
            let forged = TokenSigner::secret(alg, secret.as_bytes()).unwrap();
            let forged = forged.token(&claims(&json!({}))).unwrap();
            assert_eq!(refusal(&pinned, &forged).await, "algorithm", "{alg}");
        }
    }
    let as_secret = Access::new(settings(vec![issuer(Algorithm::HS256, secret(&pem))]), &no_fetch());
    assert_eq!(as_secret.unwrap_err(), (0, KeyError::PublicSecret));
}

#[tokio::test]
async fn an_algorithm_is_that_of_the_key() {
    let signer = TokenSigner::pair("RS256").unwrap();
    let access = access(vec![issuer(Algorithm::RS256, KeySource::Public(signer.public_pem().unwrap()))]);
    // The very same key, used for what it is not pinned to.
    let other = TokenSigner::pair("PS256").unwrap().token(&claims(&json!({}))).unwrap();
    assert_eq!(refusal(&access, &other).await, "algorithm");
    let body = URL_SAFE_NO_PAD.encode(claims(&json!({})).to_string());
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        assert_eq!(refusal(&access, &format!("{header}.{body}.")).await, "algorithm", "{alg}");
    }
    for header in [r#"{"alg":""}"#, r#"{"alg":"RS256 "}"#, r#"{"alg":"rs256"}"#, r#"{"alg":"ES512"}"#] {
        assert_eq!(
            refusal(&access, &signer.token_with(header, "{}").unwrap()).await,
            "algorithm",
            "{header}"
        );
    }
}

/// An issuer that lets people choose their names would let them be whatever an API key is.
#[tokio::test]
async fn no_token_is_an_api_key() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let named = |sub: &str| hs256().token(&claims(&json!({ "sub": sub }))).unwrap();
    assert_eq!(refusal(&access, &named("key:shop")).await, "claims");
    assert!(bearer(&access, &named("keys:shop")).await.is_ok());
}

/// Nothing in a token says where keys are: `no_fetch` fails the test if anything were fetched.
#[tokio::test]
async fn a_token_brings_no_keys_along() {
    let (known, own) = (TokenSigner::pair("ES256").unwrap(), TokenSigner::pair("ES256").unwrap());
    let access = access(vec![issuer(Algorithm::ES256, KeySource::Public(known.public_pem().unwrap()))]);
    let jwk = own.jwk().unwrap();
    for header in [
        json!({"alg": "ES256", "jwk": jwk}),
        json!({"alg": "ES256", "jku": "http://127.0.0.1:1/jwks.json", "kid": "x"}),
        json!({"alg": "ES256", "x5u": "http://127.0.0.1:1/cert.pem"}),
        json!({"alg": "ES256", "x5c": ["MII="]}),
    ] {
        let claims = claims(&json!({"jku": "http://127.0.0.1:1/", "iss": "http://127.0.0.1:1/"})).to_string();
        let token = own.token_with(&header.to_string(), &claims).unwrap();
        assert_eq!(refusal(&access, &token).await, "signature", "{header}");
    }
}

#[tokio::test]
async fn headers_that_mean_something_else_are_refused() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let body = claims(&json!({})).to_string();
    for header in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","zip":"DEF"}"#,
        r#"{"alg":"HS256","enc":"A128GCM"}"#,
        r#"{"alg":"HS256","typ":"dpop+jwt"}"#,
        r#"{"alg":"HS256","typ":"logout+jwt"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"["HS256"]"#,
        "",
    ] {
        assert_eq!(
            refusal(&access, &hs256().token_with(header, &body).unwrap()).await,
            "malformed",
            "{header}"
        );
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        assert!(bearer(&access, &hs256().token_with(&header, &body).unwrap()).await.is_ok(), "{typ}");
    }
}

#[tokio::test]
async fn claims_that_are_not_of_their_form_are_refused() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let exp = NOW_S + 60;
    let deep = format!("{{\"exp\":{exp},\"x\":{}{}}}", "[".repeat(3_000), "]".repeat(3_000));
    for (claims, reason) in [
        (format!(r#"{{"exp":{exp},"exp":{exp}}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sub":"a","sub":"b"}}"#), "claims"),
        (format!(r#"{{"iss":"a","exp":{exp},"iss":"a"}}"#), "malformed"),
        (r#"{"sub":"a"}"#.to_owned(), "claims"),
        (r#"{"exp":"tomorrow"}"#.to_owned(), "claims"),
        (r#"{"exp":-1}"#.to_owned(), "claims"),
        (r#"{"exp":1e300}"#.to_owned(), "claims"),
        (r#"{"exp":null}"#.to_owned(), "claims"),
        (format!(r#"{{"exp":{exp},"sub":7}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sub":"a\nb"}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sub":"{}"}}"#, "x".repeat(257)), "claims"),
        (format!(r#"{{"exp":{exp},"jti":["a"]}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sluice":["a"]}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sluice":{{"subscribe":"a"}}}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sluice":{{"publish":["a*"]}}}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"scope":7}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"aud":7}}"#), "claims"),
        (format!(r#"{{"exp":{exp},"sluice":{{"subscribe":[{}"a"]}}}}"#, r#""a","#.repeat(256)), "claims"),
        ("[]".to_owned(), "malformed"),
        (deep, "claims"),
        (format!(r#"{{"exp":{exp},"x":"{}"}}"#, "x".repeat(9_000)), "malformed"),
    ] {
        let header = r#"{"alg":"HS256"}"#;
        let token = hs256().token_with(header, &claims).unwrap();
        assert_eq!(refusal(&access, &token).await, reason, "{}", &claims[..claims.len().min(80)]);
    }
}

/// Two issuers whose sets call their keys the same: what was verified for one says nothing of the other.
#[tokio::test]
async fn a_cached_token_is_its_own_and_nobody_elses() {
    let (one, two) =
        (TokenSigner::pair("EdDSA").unwrap().named("k"), TokenSigner::pair("EdDSA").unwrap().named("k"));
    let of = |name: &str, signer: &TokenSigner| {
        let mut issuer = issuer(Algorithm::EdDSA, KeySource::Public(key_set(&[signer]).unwrap()));
        issuer.issuer = Some(name.to_owned());
        issuer
    };
    let access = access(vec![of("a", &one), of("b", &two)]);
    let token = one.token(&claims(&json!({"iss": "a"}))).unwrap();
    for _ in 0..3 {
        assert!(bearer(&access, &token).await.is_ok());
        // The same signature below other words, and the other way round.
        let other = two.token(&claims(&json!({"iss": "b", "sub": "u8"}))).unwrap();
        let (head, tail) = (token.rsplit_once('.').unwrap(), other.rsplit_once('.').unwrap());
        assert_eq!(refusal(&access, &format!("{}.{}", head.0, tail.1)).await, "signature");
        assert_eq!(refusal(&access, &format!("{}.{}", tail.0, head.1)).await, "signature");
        assert_eq!(bearer(&access, &other).await.unwrap().subject.as_deref(), Some("u8"));
        // Trailing bits of base64 that decode to the same bytes would be a second name for one token.
        assert!(bearer(&access, &format!("{token}=")).await.is_err());
    }
}

#[tokio::test]
async fn keys_that_cannot_be_safe_are_refused_when_they_are_read() {
    let of = |algorithm, keys| {
        Access::new(settings(vec![issuer(algorithm, keys)]), &no_fetch()).err().map(|e| e.1)
    };
    let rsa = TokenSigner::pair("RS256").unwrap().public_pem().unwrap();
    assert_eq!(of(Algorithm::HS256, secret("short")), Some(KeyError::ShortSecret));
    assert!(matches!(of(Algorithm::RS256, secret(SECRET)), Some(KeyError::Kind { .. })));
    assert!(matches!(of(Algorithm::ES256, KeySource::Public(rsa.clone())), Some(KeyError::Kind { .. })));
    assert!(matches!(of(Algorithm::HS256, KeySource::Public(rsa)), Some(KeyError::Kind { .. })));
    let private = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----";
    assert_eq!(of(Algorithm::EdDSA, KeySource::Public(private.into())), Some(KeyError::Private));
    assert!(matches!(of(Algorithm::EdDSA, KeySource::Public("x".into())), Some(KeyError::Form(_))));
    let symmetric = json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "alg": "HS256"}]});
    assert!(matches!(
        of(Algorithm::HS256, KeySource::Public(symmetric.to_string())),
        Some(KeyError::Empty(_))
    ));
}

proptest! {
    /// Nothing that a client can send brings a reader down, or in.
    #[test]
    fn no_text_is_too_strange(text in "[A-Za-z0-9_.=-]{0,64}|.{0,40}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
        let Ok(value) = format!("Bearer {text}").parse() else { return Ok(()) };
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        let request = sluice_access::Request { method: &http::Method::GET, headers: &headers, query: None, authority: None };
        let judged = runtime.block_on(access.identify(&request, 0));
        prop_assert!(judged.is_err());
    }

    /// Changing any one character of a good token makes it a bad one.
    #[test]
    fn no_character_is_of_no_account(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
        let good = hs256().token(&claims(&json!({}))).unwrap();
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != good);
        prop_assert!(runtime.block_on(bearer(&access, &good)).is_ok());
        prop_assert!(runtime.block_on(bearer(&access, &changed)).is_err());
    }
}
