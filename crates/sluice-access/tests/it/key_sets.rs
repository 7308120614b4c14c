//! Key sets and key files that change, and what is left when they cannot be had.

mod nameless;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use sluice_access::{Access, Algorithm, Fetch, IssuerSettings, KeySource};
use sluice_testkit::{TokenSigner, key_set};

use crate::stage::{bearer, claims, issuer, no_fetch, refusal, settings};

/// A key set elsewhere: what it holds, or that it is away, and how often it was asked for.
#[derive(Clone, Default)]
struct Elsewhere {
    set: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Elsewhere {
    fn holds(&self, signers: &[&TokenSigner]) {
        *self.set.lock().unwrap() = Some(key_set(signers).unwrap());
    }

    fn is_away(&self) {
        *self.set.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn fetch(&self) -> Fetch {
        let own = self.clone();
        Arc::new(move |url| {
            let own = own.clone();
            Box::pin(async move {
                assert_eq!(url, "https://idp.example/jwks.json");
                own.asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                own.set.lock().unwrap().clone().map(String::into_bytes).ok_or_else(|| "away".to_owned())
            })
        })
    }

    fn access(&self) -> Access {
        let keys = KeySource::Jwks("https://idp.example/jwks.json".to_owned());
        let issuer = IssuerSettings {
            issuer: Some("https://idp.example".to_owned()),
            audience: Vec::new(),
            algorithms: Vec::new(),
            kid: None,
            keys,
        };
        Access::new(settings(vec![issuer]), &self.fetch()).unwrap()
    }
}

fn signer(kid: &str) -> TokenSigner {
    TokenSigner::pair("ES256").unwrap().named(kid)
}

fn token(signer: &TokenSigner) -> String {
    signer.token(&claims(&json!({"iss": "https://idp.example"}))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_fetched_when_it_is_first_met_and_an_outage_keeps_the_old_ones() {
    let (elsewhere, old, new) = (Elsewhere::default(), signer("old"), signer("new"));
    elsewhere.holds(&[&old]);
    let access = elsewhere.access();
    assert!(bearer(&access, &token(&old)).await.is_ok());
    assert_eq!(elsewhere.asked(), 1);
    elsewhere.holds(&[&old, &new]);
    assert!(bearer(&access, &token(&new)).await.is_ok());
    assert_eq!(elsewhere.asked(), 2);
    elsewhere.is_away();
    let kept = tokio::time::timeout(Duration::from_secs(3_600), access.clone().keep()).await;
    assert!(kept.is_err() && elsewhere.asked() > 10, "it is tried again and again");
    assert_eq!(access.oldest_key_set().as_secs(), 3_600);
    assert!(bearer(&access, &token(&old)).await.is_ok());
    // A key that may be new: nobody can tell now, so it is not refused for ever.
    let denial = bearer(&access, &token(&signer("newer"))).await.unwrap_err();
    assert_eq!((denial.reason(), denial.is_transient()), ("keys-unavailable", true));
    elsewhere.holds(&[&new]);
    assert!(tokio::time::timeout(Duration::from_secs(600), access.clone().keep()).await.is_err());
    assert_eq!(refusal(&access, &token(&old)).await, "unknown-key", "a key that is gone is good no more");
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_ask_for_the_set_at_a_bounded_rate() {
    let (elsewhere, known) = (Elsewhere::default(), signer("known"));
    elsewhere.holds(&[&known]);
    let access = elsewhere.access();
    let began = tokio::time::Instant::now();
    for round in 0..10 {
        let strangers: Vec<String> = (0..20).map(|n| token(&signer(&format!("{round}-{n}")))).collect();
        let judged = strangers.iter().map(|token| bearer(&access, token));
        for judged in futures_util::future::join_all(judged).await {
            assert_eq!(judged.unwrap_err().reason(), "unknown-key");
        }
        assert!(bearer(&access, &token(&known)).await.is_ok());
    }
    let fetches = u32::try_from(elsewhere.asked()).unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5) * (fetches - 1), "{fetches} in {:?}", began.elapsed());
    assert!(fetches <= 20, "{fetches} for 200 tokens");
    let strangers: Vec<String> = (0..300).map(|n| token(&signer(&n.to_string()))).collect();
    let judged = futures_util::future::join_all(strangers.iter().map(|token| bearer(&access, token))).await;
    let crowded = judged.iter().filter(|judged| judged.as_ref().unwrap_err().is_transient()).count();
    assert_eq!(crowded, 300 - 256, "more than that do not wait");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_hangs_or_is_no_set_leaves_the_keys_as_they_are() {
    let (elsewhere, known) = (Elsewhere::default(), signer("known"));
    elsewhere.holds(&[&known]);
    let access = elsewhere.access();
    assert!(bearer(&access, &token(&known)).await.is_ok());
    for wrong in
        ["", "<html>", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, &"x".repeat(300_000)]
    {
        *elsewhere.set.lock().unwrap() = Some(wrong.to_owned());
        let denial = bearer(&access, &token(&signer("other"))).await.unwrap_err();
        assert!(denial.is_transient(), "{:?}", &wrong[..wrong.len().min(20)]);
        assert!(bearer(&access, &token(&known)).await.is_ok());
    }
    // One key of a kind that nobody knows does not spoil the others.
    let set = json!({"keys": [{"kty": "EC", "crv": "secp256k1", "x": "", "y": ""}, {"kty": "AKP"}, known.jwk().unwrap()]});
    *elsewhere.set.lock().unwrap() = Some(set.to_string());
    assert_eq!(refusal(&access, &token(&signer("other"))).await, "unknown-key");
    assert!(bearer(&access, &token(&known)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_key_file_is_read_again_when_it_changes() {
    let (old, new) = (TokenSigner::pair("EdDSA").unwrap(), TokenSigner::pair("EdDSA").unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), old.public_pem().unwrap()).unwrap();
    let keys = KeySource::PublicFile(file.path().to_owned());
    let access = Access::new(settings(vec![issuer(Algorithm::EdDSA, keys)]), &no_fetch()).unwrap();
    let sign = |signer: &TokenSigner| signer.token(&claims(&json!({}))).unwrap();
    let look =
        || async { tokio::time::timeout(Duration::from_secs(11), access.clone().keep()).await.unwrap_err() };
    assert!(bearer(&access, &sign(&old)).await.is_ok());
    std::fs::write(file.path(), "half of a ke").unwrap();
    look().await;
    assert!(bearer(&access, &sign(&old)).await.is_ok(), "what cannot be read changes nothing");
    std::fs::write(file.path(), new.public_pem().unwrap()).unwrap();
    look().await;
    assert!(bearer(&access, &sign(&new)).await.is_ok());
    assert_eq!(
        refusal(&access, &sign(&old)).await,
        "signature",
        "what was verified with the old key is forgotten"
    );
    std::fs::remove_file(file.path()).unwrap();
    look().await;
    assert!(bearer(&access, &sign(&new)).await.is_ok());
}
