//! Good credentials, and what they open.

use serde_json::json;
use sluice_access::{Access, Action, Algorithm, ApiKeySettings, Grants, KeySource, NewApiKey};
use sluice_testkit::{TokenSigner, key_set};
use sluice_wire::TopicTemplate;

use crate::stage::{
    NOW_MS, NOW_S, SECRET, access, bearer, claims, hs256, issuer, no_fetch, refusal, secret, settings, topic,
};

#[tokio::test]
async fn every_algorithm_is_verified_by_its_pem_and_by_its_key_set() {
    for (alg, algorithm) in [
        ("RS256", Algorithm::RS256),
        ("RS384", Algorithm::RS384),
        ("RS512", Algorithm::RS512),
        ("PS256", Algorithm::PS256),
        ("PS384", Algorithm::PS384),
        ("PS512", Algorithm::PS512),
        ("ES256", Algorithm::ES256),
        ("ES384", Algorithm::ES384),
        ("EdDSA", Algorithm::EdDSA),
    ] {
        let signer = TokenSigner::pair(alg).unwrap().named("k1");
        let token = signer.token(&claims(&json!({}))).unwrap();
        for keys in [signer.public_pem().unwrap(), key_set(&[&signer]).unwrap()] {
            let access = access(vec![issuer(algorithm, KeySource::Public(keys))]);
            let identity = bearer(&access, &token).await.unwrap();
            assert_eq!(identity.subject.as_deref(), Some("u7"), "{alg}");
            assert!(identity.check(Action::Subscribe, &[topic("orders/1")]).is_ok(), "{alg}");
            let mut forged = token.clone().into_bytes();
            let at = forged.len() - 20;
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(refusal(&access, &forged).await, "signature", "{alg}");
        }
    }
    for (alg, algorithm) in
        [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
    {
        let signer = TokenSigner::secret(alg, SECRET.as_bytes()).unwrap();
        let access = access(vec![issuer(algorithm, secret(SECRET))]);
        assert!(bearer(&access, &signer.token(&claims(&json!({}))).unwrap()).await.is_ok(), "{alg}");
    }
}

#[tokio::test]
async fn a_token_opens_what_it_says_and_what_its_subject_has() {
    let mut settings = settings(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    settings.subject_subscribe = vec![TopicTemplate::parse("user/{sub}/**").unwrap()];
    settings.anonymous.subscribe = vec!["public/*".parse().unwrap()];
    let access = Access::new(settings, &no_fetch()).unwrap();
    let scopes = json!({"scope": "openid sluice:subscribe:news/** sluice:publish:chat/* other:subscribe:x"});
    let token = hs256().token(&claims(&scopes)).unwrap();
    let identity = bearer(&access, &token).await.unwrap();
    for name in ["orders/1", "user/u7/inbox", "news/a/b", "public/a"] {
        assert!(identity.check(Action::Subscribe, &[topic(name)]).is_ok(), "{name}");
    }
    assert!(identity.check(Action::Publish, &[topic("chat/1")]).is_ok());
    for name in ["orders/1/2", "user/u8/inbox", "x", "chat/1"] {
        let denial = identity.check(Action::Subscribe, &[topic("orders/1"), topic(name)]).unwrap_err();
        assert_eq!((denial.reason(), denial.problem().status), ("not-granted", 403), "{name}");
        assert!(
            denial.problem().detail.contains(name)
                && denial.challenge().unwrap().contains("insufficient_scope")
        );
    }
    let all = hs256().token(&claims(&json!({"sluice": {"subscribe": ["**"], "publish": ["**"]}}))).unwrap();
    let all = bearer(&access, &all).await.unwrap();
    let denial = all.check(Action::Subscribe, &[topic("sluice.revocations")]).unwrap_err();
    assert_eq!(denial.reason(), "reserved", "no grant opens what is Sluice's own");
    assert_eq!(all.check(Action::Publish, &[topic("sluice.revocations")]).unwrap_err().reason(), "reserved");
}

#[tokio::test]
async fn an_api_key_is_known_by_its_hash() {
    let made = NewApiKey::make().unwrap();
    let grants = Grants { publish: vec!["orders/**".parse().unwrap()], ..Grants::default() };
    let mut settings = settings(Vec::new());
    settings.api_keys = vec![ApiKeySettings { name: "shop".into(), hash: made.hash.clone(), grants }];
    let access = Access::new(settings, &no_fetch()).unwrap();
    let identity = bearer(&access, &made.key).await.unwrap();
    assert_eq!((identity.subject.as_deref(), identity.expires_at_ms), (Some("key:shop"), None));
    assert!(identity.check(Action::Publish, &[topic("orders/1")]).is_ok());
    assert_eq!(identity.check(Action::Subscribe, &[topic("orders/1")]).unwrap_err().reason(), "not-granted");
    assert_eq!(refusal(&access, &made.key[..46]).await, "api-key");
    assert_eq!(refusal(&access, &made.hash.to_string()).await, "api-key", "the hash is no key");
    assert!(!format!("{access:?}").contains(&made.key));
}

#[tokio::test]
async fn each_issuer_has_its_own_keys_and_audience() {
    let (one, two) = (
        TokenSigner::pair("ES256").unwrap().named("same"),
        TokenSigner::pair("ES256").unwrap().named("same"),
    );
    let of = |name: &str, signer: &TokenSigner, audience: &[&str]| {
        let mut issuer = issuer(Algorithm::ES256, KeySource::Public(key_set(&[signer]).unwrap()));
        issuer.issuer = Some(name.to_owned());
        issuer.audience = audience.iter().map(|&text| text.to_owned()).collect();
        issuer
    };
    let access = access(vec![of("https://one", &one, &[]), of("https://two", &two, &["sluice", "sse"])]);
    let token = |signer: &TokenSigner, more| signer.token(&claims(&more)).unwrap();
    assert!(bearer(&access, &token(&one, json!({"iss": "https://one"}))).await.is_ok());
    assert!(bearer(&access, &token(&two, json!({"iss": "https://two", "aud": ["x", "sse"]}))).await.is_ok());
    for (signer, more, reason) in [
        (&two, json!({"iss": "https://one"}), "signature"),
        (&one, json!({"iss": "https://two", "aud": "sse"}), "signature"),
        (&one, json!({"iss": "https://three"}), "issuer"),
        (&one, json!({}), "issuer"),
        (&one, json!({"iss": "https://one", "aud": "sse"}), "audience"),
        (&two, json!({"iss": "https://two"}), "audience"),
        (&two, json!({"iss": "https://two", "aud": "other"}), "audience"),
    ] {
        assert_eq!(refusal(&access, &token(signer, more.clone())).await, reason, "{more}");
    }
    assert_eq!(NOW_MS / 1_000, NOW_S);
}
