//! Revocations: who is refused until when, although their credentials are good.
//!
//! They come from a log that every node reads from its beginning ([`REVOCATIONS_TOPIC`]); each says what holds from
//! then on for one subject or one token, of one issuer or of all, so that a later one replaces an earlier one of the same.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::identity::Names;

/// The topic whose log holds them. It is reserved: nobody outside reads or writes it by HTTP.
pub const REVOCATIONS_TOPIC: &str = "sluice.revocations";

/// Length of what is revoked, and of its issuer. Bytes.
const NAME_BYTES_MAX: usize = 256;

/// Who or what is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revoked {
    /// By which name.
    #[serde(flatten)]
    pub whom: Whom,
    /// Whose tokens are meant alone, by their `iss`; those of every issuer if it is not said.
    ///
    /// A field of its own, which builds without it pass over: they take the revocation for one of every issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// The name of who or what is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Everything of this subject; that of an API key is `key:<name>`.
    Subject(String),
    /// The token with this id (`jti`).
    TokenId(String),
}

/// Somebody or something is refused until a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Who or what.
    #[serde(flatten)]
    pub revoked: Revoked,
    /// Until when. Milliseconds since the Unix epoch; a moment that has passed lifts an earlier revocation of the same
    /// name and issuer.
    pub until_ms: u64,
}

impl Revocation {
    /// As the log holds it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry of the log.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        let revocation: Self = serde_json::from_str(json).ok()?;
        let Revoked { whom: Whom::Subject(name) | Whom::TokenId(name), issuer } = &revocation.revoked;
        let fits = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len());
        (fits(name) && issuer.as_ref().is_none_or(fits)).then_some(revocation)
    }
}

/// Those in force, and some whose time has passed and that were not yet forgotten.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    subjects: Table,
    tokens: Table,
}

/// By name what is revoked under it. A name is rarely revoked for more than one issuer.
type Table = HashMap<Box<str>, Vec<Entry>>;

#[derive(Debug)]
struct Entry {
    issuer: Option<Box<str>>,
    until_ms: u64,
}

impl Revocations {
    /// Takes one in. Whether it refuses somebody whom it did not refuse before.
    pub(crate) fn apply(&mut self, revocation: Revocation, now_ms: u64) -> bool {
        let Revocation { revoked: Revoked { whom, issuer }, until_ms } = revocation;
        let (table, name) = match whom {
            Whom::Subject(name) => (&mut self.subjects, name),
            Whom::TokenId(name) => (&mut self.tokens, name),
        };
        let entries = table.entry(name.as_str().into()).or_default();
        let at = entries.iter().position(|entry| entry.issuer.as_deref() == issuer.as_deref());
        let before_ms = at.map_or(0, |at| entries.swap_remove(at).until_ms);
        if until_ms > now_ms {
            entries.push(Entry { issuer: issuer.map(Into::into), until_ms });
        } else if entries.is_empty() {
            table.remove(name.as_str());
        }
        until_ms > now_ms && before_ms <= now_ms
    }

    pub(crate) fn refuses(&self, who: &Names<'_>, now_ms: u64) -> bool {
        let refused = |table: &Table, name: Option<&str>| {
            let mut entries = name.and_then(|name| table.get(name)).into_iter().flatten();
            entries.any(|Entry { issuer, until_ms }| {
                *until_ms > now_ms && (issuer.is_none() || issuer.as_deref() == who.issuer)
            })
        };
        refused(&self.subjects, who.subject) || refused(&self.tokens, who.token_id)
    }

    /// Forgets those whose time has passed; how many are left.
    pub(crate) fn prune(&mut self, now_ms: u64) -> usize {
        let left = |table: &mut Table| {
            table.retain(|_, entries| {
                entries.retain(|entry| entry.until_ms > now_ms);
                !entries.is_empty()
            });
            table.values().map(Vec::len).sum::<usize>()
        };
        left(&mut self.subjects) + left(&mut self.tokens)
    }

    /// At most `limit` of those in force, those that end first first.
    pub(crate) fn list(&self, now_ms: u64, limit: usize) -> Vec<Revocation> {
        let subjects = all(&self.subjects, Whom::Subject);
        let mut all: Vec<Revocation> = subjects.chain(all(&self.tokens, Whom::TokenId)).collect();
        all.retain(|revocation| revocation.until_ms > now_ms);
        all.sort_by(|a, b| (a.until_ms, &a.revoked).cmp(&(b.until_ms, &b.revoked)));
        all.truncate(limit);
        all
    }

    /// Those in force under one name, for whichever issuer.
    pub(crate) fn of(&self, whom: &Whom, now_ms: u64) -> Vec<Revocation> {
        let (table, name) = match whom {
            Whom::Subject(name) => (&self.subjects, name),
            Whom::TokenId(name) => (&self.tokens, name),
        };
        let entries = table.get(name.as_str()).into_iter().flatten();
        entries.filter(|entry| entry.until_ms > now_ms).map(|entry| entry.told(whom.clone())).collect()
    }
}

impl Entry {
    fn told(&self, whom: Whom) -> Revocation {
        let issuer = self.issuer.as_deref().map(str::to_owned);
        Revocation { revoked: Revoked { whom, issuer }, until_ms: self.until_ms }
    }
}

fn all(table: &Table, whom: fn(String) -> Whom) -> impl Iterator<Item = Revocation> {
    table
        .iter()
        .flat_map(move |(name, entries)| entries.iter().map(move |entry| entry.told(whom(name.to_string()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str, until_ms: u64) -> Revocation {
        Revocation { revoked: Revoked { whom: Whom::Subject(name.to_owned()), issuer: None }, until_ms }
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
        assert!(revocations.apply(subject("u", 100), 10));
        assert!(revocations.refuses(&named("u"), 99) && !revocations.refuses(&named("u"), 100));
        let token_u = Names { token_id: Some("u"), ..named("v") };
        assert!(!revocations.refuses(&token_u, 50), "a token's id is no subject");
        assert!(!revocations.apply(subject("u", 50), 20), "who was refused before is news to nobody");
        assert!(!revocations.refuses(&named("u"), 60));
        assert!(revocations.apply(subject("u", 80), 60), "again, after its time");
        assert!(!revocations.apply(subject("u", 0), 20), "lifted");
        assert!(revocations.list(20, 9).is_empty());
        let revoked = Revoked { whom: Whom::TokenId("t".into()), issuer: None };
        let token = Revocation { revoked, until_ms: 70 };
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
        assert!(revocations.apply(of_issuer("one", subject("u", 100)), 10));
        assert_eq!([one, two, none].map(|who| revocations.refuses(&who, 50)), [true, false, false]);
        assert!(revocations.apply(subject("u", 80), 10), "others are refused from then on");
        assert_eq!([one, two, none].map(|who| revocations.refuses(&who, 50)), [true; 3]);
        assert_eq!(revocations.of(&Whom::Subject("u".into()), 90), [of_issuer("one", subject("u", 100))]);
        assert!(
            !revocations.apply(subject("u", 0), 20),
            "lifted for all but those of an issuer that was named"
        );
        assert_eq!([one, two, none].map(|who| revocations.refuses(&who, 50)), [true, false, false]);
        revocations.apply(of_issuer("two", subject("u", 100)), 20);
        assert_eq!(revocations.prune(20), 2);
        revocations.apply(of_issuer("one", subject("u", 0)), 20);
        assert_eq!(revocations.list(20, 9), [of_issuer("two", subject("u", 100))]);
        revocations.apply(of_issuer("two", subject("u", 0)), 20);
        assert!(revocations.subjects.is_empty(), "nothing is left of a name that was lifted");
    }

    #[test]
    fn an_entry_reads_back_and_anything_else_is_none() {
        let entry = subject("a\"b", 7);
        assert_eq!(entry.to_json(), r#"{"subject":"a\"b","until_ms":7}"#);
        assert_eq!(Revocation::from_json(&entry.to_json()), Some(entry.clone()));
        let entry = of_issuer("i", entry);
        assert_eq!(entry.to_json(), r#"{"subject":"a\"b","issuer":"i","until_ms":7}"#);
        assert_eq!(Revocation::from_json(&entry.to_json()), Some(entry));
        let of_a_later_build = r#"{"subject":"u","until_ms":7,"why":"x"}"#;
        assert_eq!(Revocation::from_json(of_a_later_build), Some(subject("u", 7)));
        for wrong in [
            "",
            "{}",
            r#"{"subject":"","until_ms":1}"#,
            r#"{"until_ms":1}"#,
            r#"{"subject":1,"until_ms":1}"#,
            r#"{"subject":"u","issuer":"","until_ms":1}"#,
            r#"{"subject":"u","issuer":1,"until_ms":1}"#,
        ] {
            assert_eq!(Revocation::from_json(wrong), None, "{wrong}");
        }
    }
}
