//! Tokens by the clock, and revocations.

use serde_json::json;
use sluice_access::{Access, Algorithm, IssuerSettings, Names, Revocation, Revoked, Whom};
use sluice_testkit::TokenSigner;

use crate::stage::{
    NOW_MS, NOW_S, SECRET, access, bearer, bearer_at, claims, hs256, issuer, no_fetch, refusal, secret,
    settings,
};

#[tokio::test]
async fn a_token_is_good_from_its_beginning_to_its_end_give_or_take_the_leeway() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let token = hs256().token(&claims(&json!({"exp": NOW_S + 100, "nbf": NOW_S}))).unwrap();
    for (offset_ms, reason) in [
        (-10_001, Some("not-yet-valid")),
        (-10_000, None),
        (0, None),
        (100_000, None),
        (109_999, None),
        (110_000, Some("expired")),
        // What is remembered of a token does not outlive it, and it is good again when the clock goes back.
        (99_000, None),
        (1_000_000_000, Some("expired")),
    ] {
        let judged = bearer_at(&access, &token, NOW_MS.saturating_add_signed(offset_ms)).await;
        assert_eq!(judged.as_ref().err().map(sluice_access::Denial::reason), reason, "{offset_ms}");
        if let Ok(identity) = judged {
            assert_eq!(identity.expires_at_ms, Some(NOW_MS + 100_000));
        }
    }
    let fraction = hs256().token(&claims(&json!({"exp": 1_800_000_000.25}))).unwrap();
    assert_eq!(bearer(&access, &fraction).await.unwrap().expires_at_ms, Some(NOW_MS + 250));
}

fn of_all(whom: Whom, until_ms: u64) -> Revocation {
    let revoked = Revoked { whom, issuer: None };
    Revocation { revoked, issued_before_s: None, until_ms, made_ms: 0, kept_until_ms: 0 }
}

#[tokio::test]
async fn whoever_is_revoked_is_refused_until_then() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let token = |more| hs256().token(&claims(&more)).unwrap();
    let (mine, other) = (token(json!({"jti": "t1"})), token(json!({"jti": "t2"})));
    let mut revoked = access.watch_revoked();
    assert!(bearer(&access, &mine).await.is_ok());
    access.revoke(of_all(Whom::TokenId("t1".into()), NOW_MS + 5_000), NOW_MS);
    assert!(revoked.has_changed().unwrap());
    revoked.mark_unchanged();
    assert_eq!(refusal(&access, &mine).await, "revoked", "what is remembered of a token is no excuse");
    assert!(bearer(&access, &other).await.is_ok());
    assert!(bearer_at(&access, &mine, NOW_MS + 5_000).await.is_ok());
    access.revoke(of_all(Whom::Subject("u7".into()), NOW_MS + 9_000), NOW_MS);
    assert_eq!(refusal(&access, &other).await, "revoked");
    revoked.mark_unchanged();
    access.revoke(of_all(Whom::Subject("u7".into()), NOW_MS + 9_000), NOW_MS);
    assert!(!revoked.has_changed().unwrap(), "the same log read again is news to nobody");
    assert_eq!(access.prune_revocations(NOW_MS + 6_000), 1);
    assert!(access.is_revoked(&Names { subject: Some("u7"), ..Names::default() }, NOW_MS + 6_000));
    access.revoke(of_all(Whom::Subject("u7".into()), 0), NOW_MS + 6_000);
    assert!(bearer_at(&access, &other, NOW_MS + 6_000).await.is_ok(), "lifted");
}

#[tokio::test]
async fn a_revocation_may_mean_the_tokens_of_one_issuer_alone() {
    let of =
        |name: &str| IssuerSettings { issuer: Some(name.into()), ..issuer(Algorithm::HS256, secret(SECRET)) };
    let access = access(vec![of("one"), of("two"), issuer(Algorithm::HS256, secret(SECRET))]);
    let token = |issuer: Option<&str>| hs256().token(&claims(&json!({"iss": issuer, "jti": "t1"}))).unwrap();
    // The third is of no name that the configuration knows, the fourth of none at all.
    let tokens = [Some("one"), Some("two"), Some("else"), None].map(token);
    let refused = async || {
        let mut refused = Vec::new();
        for token in &tokens {
            refused.push(bearer(&access, token).await.err().map(|denial| denial.reason()));
        }
        refused
    };
    let no = Some("revoked");
    assert_eq!(refused().await, [None; 4], "they are remembered from here on");
    let mut of_issuer = of_all(Whom::TokenId("t1".into()), NOW_MS + 5_000);
    for (issuer, expected) in [("one", [no, None, None, None]), ("else", [no, None, no, None])] {
        of_issuer.revoked.issuer = Some(issuer.into());
        access.revoke(of_issuer.clone(), NOW_MS);
        assert_eq!(refused().await, expected, "{issuer}");
    }
    access.revoke(of_all(Whom::Subject("u7".into()), NOW_MS + 5_000), NOW_MS);
    assert_eq!(refused().await, [no; 4], "without an issuer everybody of the name is meant");
}

#[tokio::test]
async fn nobody_is_let_in_before_it_is_known_who_is_revoked() {
    let mut settings = settings(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    settings.await_revocations = true;
    let access = Access::new(settings, &no_fetch()).unwrap();
    let token = hs256().token(&claims(&json!({}))).unwrap();
    let denial = bearer(&access, &token).await.unwrap_err();
    assert!(denial.is_transient() && denial.problem().status == 503 && denial.challenge().is_none());
    access.revocations_known();
    assert!(bearer(&access, &token).await.is_ok());
}

/// Logged out everywhere, and logged in again.
#[tokio::test]
async fn tokens_issued_after_a_revocation_of_those_before_are_good() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let token = |more| hs256().token(&claims(&more)).unwrap();
    let old = [json!({}), json!({"iat": NOW_S - 1}), json!({"iat": 0}), json!({"iat": null})].map(token);
    let new = [json!({"iat": NOW_S}), json!({"iat": 1_800_000_000.75})].map(token);
    let mut revocation = of_all(Whom::Subject("u7".into()), NOW_MS + 5_000);
    revocation.issued_before_s = Some(NOW_S);
    access.revoke(revocation, NOW_MS);
    for token in &old {
        assert_eq!(refusal(&access, token).await, "revoked");
    }
    for token in &new {
        assert!(bearer(&access, token).await.is_ok());
    }
    assert_eq!(refusal(&access, &token(json!({"iat": "today"}))).await, "claims");
}

/// A client that comes back after days is told that its token has expired, not that nobody knows its key any more.
#[tokio::test]
async fn a_token_that_says_it_has_expired_is_refused_as_expired_whoever_signed_it() {
    let access = access(vec![issuer(Algorithm::HS256, secret(SECRET))]);
    let former = TokenSigner::secret("HS256", b"the secret of last year, now gone").unwrap();
    let token = |ends_s: u64| former.token(&claims(&json!({"exp": ends_s}))).unwrap();
    assert_eq!(refusal(&access, &token(NOW_S + 100)).await, "signature");
    assert_eq!(
        refusal(&access, &token(NOW_S - 9)).await,
        "signature",
        "within the leeway it counts as not expired"
    );
    assert_eq!(refusal(&access, &token(NOW_S - 10)).await, "expired");
}
