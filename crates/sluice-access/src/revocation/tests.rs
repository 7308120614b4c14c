//! What is known of revocations, whatever the order in which their entries are read.

use proptest::prelude::*;

use super::*;

/// Made at `made_ms` about the subject `name`.
fn subject(name: &str, until_ms: u64, made_ms: u64) -> Revocation {
    let revoked = Revoked { whom: Whom::Subject(name.to_owned()), issuer: None };
    Revocation { revoked, issued_before_s: None, until_ms, made_ms, kept_until_ms: 0 }
}

fn of_issuer(issuer: &str, mut revocation: Revocation) -> Revocation {
    revocation.revoked.issuer = Some(issuer.to_owned());
    revocation
}

fn named(subject: &str) -> Names<'_> {
    Names { subject: Some(subject), ..Names::default() }
}

#[test]
fn the_latest_word_about_somebody_counts_until_its_time() {
    let mut revocations = Revocations::default();
    assert!(revocations.apply(subject("u", 100, 1), 10));
    assert!(revocations.refuses(&named("u"), 99) && !revocations.refuses(&named("u"), 100));
    let token_u = Names { token_id: Some("u"), ..named("v") };
    assert!(!revocations.refuses(&token_u, 50), "a token's id is no subject");
    assert!(!revocations.apply(subject("u", 50, 2), 20), "who was refused before is news to nobody");
    assert!(!revocations.refuses(&named("u"), 60));
    assert!(revocations.apply(subject("u", 80, 3), 60), "again, after its time");
    assert!(!revocations.apply(subject("u", 0, 4), 20), "lifted");
    assert!(revocations.list(20, 9).is_empty());
    let revoked = Revoked { whom: Whom::TokenId("t".into()), issuer: None };
    let token = Revocation { revoked, ..subject("", 70, 5) };
    revocations.apply(token.clone(), 20);
    assert!(revocations.refuses(&Names { token_id: Some("t"), ..named("v") }, 60));
    assert_eq!(revocations.list(20, 9), [token]);
    assert_eq!((revocations.prune(69), revocations.prune(70)), (1, 0));
}

#[test]
fn a_revocation_of_one_issuer_says_nothing_of_another_and_one_without_is_for_all() {
    let mut revocations = Revocations::default();
    let of = |issuer| Names { issuer, ..named("u") };
    let (one, two, none) = (of(Some("one")), of(Some("two")), of(None));
    assert!(revocations.apply(of_issuer("one", subject("u", 100, 1)), 10));
    assert_eq!([one, two, none].map(|who| revocations.refuses(&who, 50)), [true, false, false]);
    assert!(revocations.apply(subject("u", 80, 2), 10), "others are refused from then on");
    assert_eq!([one, two, none].map(|who| revocations.refuses(&who, 50)), [true; 3]);
    assert_eq!(revocations.of(&Whom::Subject("u".into()), 90), [of_issuer("one", subject("u", 100, 1))]);
    assert!(
        !revocations.apply(subject("u", 0, 3), 20),
        "lifted for all but those of an issuer that was named"
    );
    assert_eq!([one, two, none].map(|who| revocations.refuses(&who, 50)), [true, false, false]);
    revocations.apply(of_issuer("two", subject("u", 100, 4)), 20);
    assert_eq!(revocations.prune(20), 2);
    revocations.apply(of_issuer("one", subject("u", 0, 5)), 20);
    assert_eq!(revocations.list(20, 9), [of_issuer("two", subject("u", 100, 4))]);
    revocations.apply(of_issuer("two", subject("u", 0, 6)), 20);
    assert!(revocations.subjects.is_empty(), "nothing is left of a name that was lifted");
}

#[test]
fn credentials_issued_since_then_are_good_and_those_that_do_not_say_are_not() {
    let mut revocations = Revocations::default();
    let issued_at = |issued_at_s| Names { issued_at_s, ..named("u") };
    let who = [None, Some(499), Some(500), Some(501)].map(issued_at);
    let before = |issued_before_s, made_ms| Revocation {
        issued_before_s: Some(issued_before_s),
        ..subject("u", 900_000, made_ms)
    };
    assert!(revocations.apply(before(500, 1), 600_000));
    let refused = |revocations: &Revocations| who.map(|who| revocations.refuses(&who, 700_000));
    assert_eq!(refused(&revocations), [true, true, false, false]);
    assert!(!revocations.apply(before(500, 2), 600_000), "the same again is news to nobody");
    assert!(revocations.apply(before(501, 3), 600_000), "one more second of tokens");
    assert_eq!(refused(&revocations), [true, true, true, false]);
    // Logging out everywhere must not let in whom an operator has locked out, and the other way round.
    assert!(revocations.apply(subject("u", 800_000, 4), 600_000));
    assert!(!revocations.apply(before(400, 5), 600_000));
    assert_eq!(refused(&revocations), [true; 4]);
    assert_eq!(revocations.of(&Whom::Subject("u".into()), 700_000).len(), 2);
    revocations.apply(subject("u", 0, 6), 600_000);
    assert_eq!(refused(&revocations), [true, false, false, false]);
}

#[test]
fn an_entry_reads_back_and_anything_else_is_none() {
    let read = |json: &str| Revocation::from_json(json, 5, 1_000);
    let entry = subject("a\"b", 7, 3);
    assert_eq!(entry.to_json(), r#"{"subject":"a\"b","until_ms":7,"made_ms":3}"#);
    assert_eq!(read(&entry.to_json()), Some(entry.clone()));
    let entry = Revocation { issued_before_s: Some(2), kept_until_ms: 9, ..of_issuer("i", entry) };
    assert_eq!(
        entry.to_json(),
        r#"{"subject":"a\"b","issuer":"i","issued_before_s":2,"until_ms":7,"made_ms":3,"kept_until_ms":9}"#
    );
    assert_eq!(read(&entry.to_json()), Some(entry));
    let of_an_earlier_or_later_build = r#"{"subject":"u","until_ms":7,"why":"x"}"#;
    assert_eq!(read(of_an_earlier_or_later_build), Some(subject("u", 7, 5)), "made when it was written");
    let of_the_future = subject("u", 7, u64::MAX).to_json();
    assert_eq!(read(&of_the_future), Some(subject("u", 7, 0)), "any other word is later");
    for wrong in [
        "",
        "{}",
        r#"{"subject":"","until_ms":1}"#,
        r#"{"until_ms":1}"#,
        r#"{"subject":1,"until_ms":1}"#,
        r#"{"subject":"u","issuer":"","until_ms":1}"#,
        r#"{"subject":"u","issuer":1,"until_ms":1}"#,
        r#"{"subject":"u","issued_before_s":-1,"until_ms":1}"#,
    ] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

const NOW_MS: u64 = 1_000;

/// A few subjects, revoked and lifted at different times.
fn words() -> impl Strategy<Value = Vec<Revocation>> {
    let word = (0..3_u8, any::<bool>(), prop::option::of(0..4_u64), 0..3_u8);
    prop::collection::vec(word, 1..20).prop_map(|words| {
        let made = (1_u64..).zip(words);
        made.map(|(made_ms, (name, of_issuer, issued_before_s, state))| {
            let issuer = of_issuer.then(|| "i".to_owned());
            let revoked = Revoked { whom: Whom::Subject(format!("u{name}")), issuer };
            let (until_ms, kept_until_ms) = match state {
                0 => (0, NOW_MS + 5),
                state => (NOW_MS + u64::from(state), 0),
            };
            Revocation { revoked, issued_before_s, until_ms, made_ms, kept_until_ms }
        })
        .collect()
    })
}

proptest! {
    /// A failover loses any entries and leaves any; nodes write again what they know, in any order and as often as they like.
    #[test]
    fn whatever_is_read_again_in_whatever_order_says_the_same(
        words in words(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut known = Revocations::default();
        for word in &words {
            known.apply(word.clone(), NOW_MS);
        }
        let mut expected = known.all();
        for index in order {
            known.apply(index.get(&words).clone(), NOW_MS);
        }
        let mut found = known.all();
        let mut fresh = Revocations::default();
        for word in found.iter().rev() {
            fresh.apply(word.clone(), NOW_MS);
        }
        let mut rewritten = fresh.all();
        for all in [&mut expected, &mut found, &mut rewritten] {
            all.sort_by_key(|word| word.made_ms);
        }
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(&rewritten, &expected, "a node that knows only what was written again");
    }
}
