//! Tokens and keys without a `kid`: that none of the keys fits may mean that there is a newer one, or that the token is
//! forged.

use std::time::Duration;

use futures_util::future::join_all;
use sluice_testkit::TokenSigner;
use tokio::time::Instant;

use super::{Elsewhere, signer, token};
use crate::stage::{bearer, refusal};

fn nameless(algorithm: &'static str) -> TokenSigner {
    TokenSigner::pair(algorithm).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_found_whichever_of_token_and_keys_has_no_name() {
    let (old, new, named) = (nameless("ES256"), nameless("ES256"), signer("new"));
    let other_algorithm = nameless("EdDSA");
    for (before, after, sent, what) in [
        (&old, &new, &new, "neither has a name"),
        (&named, &new, &new, "the old key has a name"),
        (&old, &named, &named, "the old key has none"),
        (&old, &other_algorithm, &other_algorithm, "the new one is of another kind"),
    ] {
        let elsewhere = Elsewhere::default();
        elsewhere.holds(&[before]);
        let access = elsewhere.access();
        assert!(bearer(&access, &token(before)).await.is_ok());
        elsewhere.holds(&[after]);
        assert!(bearer(&access, &token(sent)).await.is_ok(), "{what}");
        assert_eq!(elsewhere.asked(), 2, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_the_name_decides_without_a_fetch() {
    let (elsewhere, known) = (Elsewhere::default(), signer("known"));
    elsewhere.holds(&[&known]);
    let access = elsewhere.access();
    assert!(bearer(&access, &token(&known)).await.is_ok());
    assert_eq!(refusal(&access, &token(&signer("known"))).await, "signature");
    assert_eq!(elsewhere.asked(), 1);
}

/// Whoever floods a node with such tokens gets no more fetches than by keys that are not known, and no other answer than
/// that they are forged, whether the set can be had or not, and however many they are.
#[tokio::test(start_paused = true)]
async fn forgeries_cost_no_more_than_the_rate_and_are_forgeries_in_an_outage_too() {
    let (elsewhere, known, stranger) = (Elsewhere::default(), nameless("ES256"), nameless("ES256"));
    elsewhere.holds(&[&known]);
    let access = elsewhere.access();
    assert!(bearer(&access, &token(&known)).await.is_ok());
    let began = Instant::now();
    for round in 0..10 {
        if round == 5 {
            elsewhere.is_away();
        }
        let forged = token(&stranger);
        for judged in join_all((0..300).map(|_| bearer(&access, &forged))).await {
            let denial = judged.unwrap_err();
            assert_eq!((denial.reason(), denial.is_transient()), ("signature", false), "round {round}");
        }
        assert!(bearer(&access, &token(&known)).await.is_ok());
    }
    let fetches = u32::try_from(elsewhere.asked()).unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5) * (fetches - 1), "{fetches} in {:?}", began.elapsed());
    assert!((2..=21).contains(&fetches), "{fetches} for 3,000 tokens");
    let nothing_known = Elsewhere::default().access();
    let denial = bearer(&nothing_known, &token(&stranger)).await.unwrap_err();
    assert!(denial.is_transient(), "without any key nobody can tell");
}
