//! Revocations: who is refused until when, although their credentials are good.
//!
//! They come from a log that every node reads from its beginning ([`REVOCATIONS_TOPIC`]). Each entry is the latest word
//! about one subject or one token, of one issuer or of all: an entry with a later [`Revocation::made_ms`] replaces an earlier
//! one about the same, in whatever order the two are read. So any node can write an entry again that a failover has
//! lost, several can do so at once, and nothing that was lifted meanwhile comes back.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::identity::Names;

/// The topic whose log holds them. It is reserved: nobody outside reads or writes it by HTTP.
pub const REVOCATIONS_TOPIC: &str = "sluice.revocations";

/// Length of what is revoked, and of its issuer. Bytes.
const NAME_BYTES_MAX: usize = 256;

/// How far ahead of the reader's clock an entry may say it was made. One that says more is taken for the oldest of all, so
/// that a wrong clock, or an entry with an id of the future, cannot outrank every later word.
const AHEAD_MAX_MS: u64 = 3_600_000;

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
    /// Refuses only the credentials that were issued before this second since the Unix epoch, by their `iat`; those that
    /// do not say when they were issued count as issued before. `None` refuses all.
    ///
    /// Such a revocation and one of all credentials of the same name are two, which stand beside each other. A build that
    /// does not know the field passes it over and refuses all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before_s: Option<u64>,
    /// Until when. Milliseconds since the Unix epoch; a moment that has passed lifts an earlier revocation of the same.
    pub until_ms: u64,
    /// When it was made, in milliseconds since the Unix epoch, and later than any other word about the same that its
    /// writer knew. Of two about the same the later counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub made_ms: u64,
    /// Until when it must be kept although it is no longer in force: one that lifts another, for as long as the other could
    /// come back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept_until_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a revocation is about: of several with the same topic, the latest counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct About {
    /// Who or what.
    pub revoked: Revoked,
    /// Only credentials issued before some moment.
    pub issued_before: bool,
}

impl Revocation {
    /// As the log holds it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry of the log that was written at `written_ms` by its id. One of a build that did not say when it was made
    /// was made then.
    #[must_use]
    pub fn from_json(json: &str, written_ms: u64, now_ms: u64) -> Option<Self> {
        let mut revocation: Self = serde_json::from_str(json).ok()?;
        let Revoked { whom: Whom::Subject(name) | Whom::TokenId(name), issuer } = &revocation.revoked;
        let fits = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len());
        if !fits(name) || !issuer.as_ref().is_none_or(fits) {
            return None;
        }
        if revocation.made_ms == 0 {
            revocation.made_ms = written_ms;
        }
        if revocation.made_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
            revocation.made_ms = 0;
        }
        Some(revocation)
    }

    /// What it is about.
    #[must_use]
    pub fn about(&self) -> About {
        About { revoked: self.revoked.clone(), issued_before: self.issued_before_s.is_some() }
    }

    /// Whether it refuses anybody at `now_ms`.
    #[must_use]
    pub fn is_in_force(&self, now_ms: u64) -> bool {
        self.until_ms > now_ms
    }

    /// From when on nothing depends on it any more. Milliseconds since the Unix epoch.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.until_ms.max(self.kept_until_ms)
    }
}

/// The latest words about all that matter still, and some that do not and were not yet forgotten.
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
    issued_before_s: Option<u64>,
    until_ms: u64,
    made_ms: u64,
    kept_until_ms: u64,
}

impl Revocations {
    /// Takes one in, unless a later word about the same is known. Whether it refuses somebody whom it did not refuse
    /// before.
    pub(crate) fn apply(&mut self, revocation: Revocation, now_ms: u64) -> bool {
        let end_ms = revocation.end_ms();
        let Revocation { revoked: Revoked { whom, issuer }, issued_before_s, until_ms, .. } = revocation;
        let (table, name) = match whom {
            Whom::Subject(name) => (&mut self.subjects, name),
            Whom::TokenId(name) => (&mut self.tokens, name),
        };
        let entries = table.entry(name.as_str().into()).or_default();
        let is_it = |entry: &Entry| entry.is_about(issuer.as_deref(), issued_before_s.is_some());
        let known = entries.iter().enumerate().find(|(_, entry)| is_it(entry));
        let known = known.map(|(at, entry)| (at, entry.made_ms));
        if known.is_some_and(|(_, made_ms)| made_ms > revocation.made_ms) {
            return false;
        }
        let before = known.map(|(at, _)| entries.swap_remove(at)).filter(|before| before.until_ms > now_ms);
        let more = before.is_none_or(|before| issued_before_s > before.issued_before_s);
        if end_ms > now_ms {
            let issuer = issuer.map(Into::into);
            let Revocation { made_ms, kept_until_ms, .. } = revocation;
            entries.push(Entry { issuer, issued_before_s, until_ms, made_ms, kept_until_ms });
        } else if entries.is_empty() {
            table.remove(name.as_str());
        }
        until_ms > now_ms && more
    }

    pub(crate) fn refuses(&self, who: &Names<'_>, now_ms: u64) -> bool {
        let refused = |table: &Table, name: Option<&str>| {
            let mut entries = name.and_then(|name| table.get(name)).into_iter().flatten();
            entries.any(|entry| entry.until_ms > now_ms && entry.is_for(who))
        };
        refused(&self.subjects, who.subject) || refused(&self.tokens, who.token_id)
    }

    /// Forgets those on which nothing depends any more; how many are in force.
    pub(crate) fn prune(&mut self, now_ms: u64) -> usize {
        let left = |table: &mut Table| {
            let mut in_force = 0;
            table.retain(|_, entries| {
                entries.retain(|entry| entry.until_ms.max(entry.kept_until_ms) > now_ms);
                in_force += entries.iter().filter(|entry| entry.until_ms > now_ms).count();
                !entries.is_empty()
            });
            in_force
        };
        left(&mut self.subjects) + left(&mut self.tokens)
    }

    /// At most `limit` of those in force, those that end first first.
    pub(crate) fn list(&self, now_ms: u64, limit: usize) -> Vec<Revocation> {
        let mut all = self.all();
        all.retain(|revocation| revocation.is_in_force(now_ms));
        all.sort_by(|a, b| (a.until_ms, &a.revoked).cmp(&(b.until_ms, &b.revoked)));
        all.truncate(limit);
        all
    }

    /// Those in force under one name, for whichever issuer.
    pub(crate) fn of(&self, whom: &Whom, now_ms: u64) -> Vec<Revocation> {
        let in_force = self.entries(whom).iter().filter(|entry| entry.until_ms > now_ms);
        in_force.map(|entry| entry.told(whom.clone())).collect()
    }

    /// The latest word about something, in force or not.
    pub(crate) fn latest(&self, about: &About) -> Option<Revocation> {
        let whom = &about.revoked.whom;
        let is_it = |entry: &&Entry| entry.is_about(about.revoked.issuer.as_deref(), about.issued_before);
        self.entries(whom).iter().find(is_it).map(|entry| entry.told(whom.clone()))
    }

    /// Every word that is known.
    pub(crate) fn all(&self) -> Vec<Revocation> {
        all(&self.subjects, Whom::Subject).chain(all(&self.tokens, Whom::TokenId)).collect()
    }

    fn entries(&self, whom: &Whom) -> &[Entry] {
        let (table, name) = match whom {
            Whom::Subject(name) => (&self.subjects, name),
            Whom::TokenId(name) => (&self.tokens, name),
        };
        table.get(name.as_str()).map_or(&[], Vec::as_slice)
    }
}

impl Entry {
    fn is_about(&self, issuer: Option<&str>, issued_before: bool) -> bool {
        self.issuer.as_deref() == issuer && self.issued_before_s.is_some() == issued_before
    }

    /// Whether the credentials of `who`, whose name it is, are meant.
    fn is_for(&self, who: &Names<'_>) -> bool {
        let of_issuer = self.issuer.is_none() || self.issuer.as_deref() == who.issuer;
        let issued_before = |before_s: u64| who.issued_at_s.is_none_or(|issued_s| issued_s < before_s);
        of_issuer && self.issued_before_s.is_none_or(issued_before)
    }

    fn told(&self, whom: Whom) -> Revocation {
        let issuer = self.issuer.as_deref().map(str::to_owned);
        let Self { issued_before_s, until_ms, made_ms, kept_until_ms, .. } = *self;
        Revocation { revoked: Revoked { whom, issuer }, issued_before_s, until_ms, made_ms, kept_until_ms }
    }
}

fn all(table: &Table, whom: fn(String) -> Whom) -> impl Iterator<Item = Revocation> {
    table
        .iter()
        .flat_map(move |(name, entries)| entries.iter().map(move |entry| entry.told(whom(name.to_string()))))
}

#[cfg(test)]
mod tests;
