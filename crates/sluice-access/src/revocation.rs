//! Revocations: who is refused until when, although their credentials are good.
//!
//! They come from a log that every node reads from its beginning ([`REVOCATIONS_TOPIC`]); each says what holds from
//! then on for one subject or one token, so that a later one replaces an earlier one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// The topic whose log holds them. It is reserved: nobody outside reads or writes it by HTTP.
pub const REVOCATIONS_TOPIC: &str = "sluice.revocations";

/// Length of what is revoked. Bytes.
const NAME_BYTES_MAX: usize = 256;

/// Who or what is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
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
    /// Until when. Milliseconds since the Unix epoch; a moment that has passed lifts an earlier revocation.
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
        let (Revoked::Subject(name) | Revoked::TokenId(name)) = &revocation.revoked;
        (1..=NAME_BYTES_MAX).contains(&name.len()).then_some(revocation)
    }
}

/// Those in force, and some whose time has passed and that were not yet forgotten.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    subjects: HashMap<Box<str>, u64>,
    tokens: HashMap<Box<str>, u64>,
}

impl Revocations {
    /// Takes one in. Whether it refuses somebody whom nothing refused before.
    pub(crate) fn apply(&mut self, revocation: Revocation, now_ms: u64) -> bool {
        let (table, name) = match revocation.revoked {
            Revoked::Subject(name) => (&mut self.subjects, name),
            Revoked::TokenId(name) => (&mut self.tokens, name),
        };
        if revocation.until_ms <= now_ms {
            table.remove(name.as_str());
            return false;
        }
        table.insert(name.into(), revocation.until_ms).is_none_or(|before_ms| before_ms <= now_ms)
    }

    pub(crate) fn refuses(&self, subject: Option<&str>, token_id: Option<&str>, now_ms: u64) -> bool {
        let until = |table: &HashMap<Box<str>, u64>, name: Option<&str>| {
            name.and_then(|name| table.get(name)).is_some_and(|until_ms| *until_ms > now_ms)
        };
        until(&self.subjects, subject) || until(&self.tokens, token_id)
    }

    pub(crate) fn refuses_identity(&self, identity: &Identity, now_ms: u64) -> bool {
        self.refuses(identity.subject.as_deref(), identity.token_id.as_deref(), now_ms)
    }

    /// Forgets those whose time has passed; how many are left.
    pub(crate) fn prune(&mut self, now_ms: u64) -> usize {
        self.subjects.retain(|_, until_ms| *until_ms > now_ms);
        self.tokens.retain(|_, until_ms| *until_ms > now_ms);
        self.subjects.len() + self.tokens.len()
    }

    /// At most `limit` of those in force, those that end first first.
    pub(crate) fn list(&self, now_ms: u64, limit: usize) -> Vec<Revocation> {
        let subjects = self.subjects.iter().map(|(name, until)| (Revoked::Subject(name.to_string()), *until));
        let tokens = self.tokens.iter().map(|(name, until)| (Revoked::TokenId(name.to_string()), *until));
        let mut all: Vec<Revocation> = subjects
            .chain(tokens)
            .filter(|(_, until_ms)| *until_ms > now_ms)
            .map(|(revoked, until_ms)| Revocation { revoked, until_ms })
            .collect();
        all.sort_by(|a, b| (a.until_ms, &a.revoked).cmp(&(b.until_ms, &b.revoked)));
        all.truncate(limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str, until_ms: u64) -> Revocation {
        Revocation { revoked: Revoked::Subject(name.to_owned()), until_ms }
    }

    #[test]
    fn the_latest_word_about_somebody_counts_until_its_time() {
        let mut revocations = Revocations::default();
        assert!(revocations.apply(subject("u", 100), 10));
        assert!(revocations.refuses(Some("u"), None, 99) && !revocations.refuses(Some("u"), None, 100));
        assert!(!revocations.refuses(Some("v"), Some("u"), 50), "a token's id is no subject");
        assert!(!revocations.apply(subject("u", 50), 20), "who was refused before is news to nobody");
        assert!(!revocations.refuses(Some("u"), None, 60));
        assert!(revocations.apply(subject("u", 80), 60), "again, after its time");
        assert!(!revocations.apply(subject("u", 0), 20), "lifted");
        assert!(revocations.list(20, 9).is_empty());
        let token = Revocation { revoked: Revoked::TokenId("t".into()), until_ms: 70 };
        revocations.apply(token.clone(), 20);
        assert!(revocations.refuses(Some("v"), Some("t"), 60));
        assert_eq!(revocations.list(20, 9), [token]);
        assert_eq!((revocations.prune(69), revocations.prune(70)), (1, 0));
    }

    #[test]
    fn an_entry_reads_back_and_anything_else_is_none() {
        let entry = subject("a\"b", 7);
        assert_eq!(entry.to_json(), r#"{"subject":"a\"b","until_ms":7}"#);
        assert_eq!(Revocation::from_json(&entry.to_json()), Some(entry));
        for wrong in
            ["", "{}", r#"{"subject":"","until_ms":1}"#, r#"{"until_ms":1}"#, r#"{"subject":1,"until_ms":1}"#]
        {
            assert_eq!(Revocation::from_json(wrong), None, "{wrong}");
        }
    }
}
