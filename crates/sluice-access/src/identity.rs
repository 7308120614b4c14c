//! Who somebody is, once their credentials have been judged.

use std::sync::Arc;

use sluice_wire::{Topic, TopicPattern};

use crate::cache::digest_of;
use crate::denial::Denial;
use crate::grants::is_reserved;

/// What the subject of an API key begins with, and that of no token.
pub(crate) const KEY_SUBJECT_PREFIX: &str = "key:";

/// Somebody whose credentials, or the lack of them, were judged. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is; `None` for whoever came without credentials. That of an API key is `key:<name>`.
    pub subject: Option<Arc<str>>,
    /// The token's own id (`jti`), where it has one.
    pub token_id: Option<Arc<str>>,
    /// Who has signed the token, as its `iss` says: `subject` and `token_id` are names within an issuer.
    pub issuer: Option<Arc<str>>,
    /// When the token was issued, as its `iat` says. Seconds since the Unix epoch.
    pub issued_at_s: Option<u64>,
    /// When what it may do ends. Milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
    /// What it may do.
    pub grants: Arc<Grants>,
}

/// What somebody can be revoked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Names<'a> {
    /// As [`Identity::subject`].
    pub subject: Option<&'a str>,
    /// As [`Identity::token_id`].
    pub token_id: Option<&'a str>,
    /// As [`Identity::issuer`].
    pub issuer: Option<&'a str>,
    /// As [`Identity::issued_at_s`].
    pub issued_at_s: Option<u64>,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Those that may be read.
    pub subscribe: Vec<TopicPattern>,
    /// Those that may be published to.
    pub publish: Vec<TopicPattern>,
    /// Whether credentials may be revoked.
    pub revoke: bool,
}

/// What somebody wants with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To read it.
    Subscribe,
    /// To publish to it.
    Publish,
}

impl Action {
    /// The word that claims, scopes and configuration use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
        }
    }
}

impl Grants {
    /// Whether `topic` may be read.
    #[must_use]
    pub fn may_subscribe(&self, topic: &Topic) -> bool {
        !is_reserved(topic) && self.subscribe.iter().any(|pattern| pattern.matches(topic))
    }

    /// Whether `topic` may be published to.
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        !is_reserved(topic) && self.publish.iter().any(|pattern| pattern.matches(topic))
    }
}

impl Identity {
    /// Somebody without credentials.
    #[must_use]
    pub fn anonymous(grants: Arc<Grants>) -> Self {
        Self { subject: None, token_id: None, issuer: None, issued_at_s: None, expires_at_ms: None, grants }
    }

    /// Whether it may revoke credentials and see which are revoked.
    #[must_use]
    pub fn may_revoke(&self) -> bool {
        self.grants.revoke
    }

    /// What it goes by.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names {
            subject: self.subject.as_deref(),
            token_id: self.token_id.as_deref(),
            issuer: self.issuer.as_deref(),
            issued_at_s: self.issued_at_s,
        }
    }

    /// Whether it has a name.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.subject.is_some() || self.token_id.is_some()
    }

    /// Whether it came without credentials. Credentials that say neither who nor which are credentials all the same.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        !self.is_named() && self.expires_at_ms.is_none()
    }

    /// A short digest of who it is: of the issuer and the subject. The same for every token of a subject, and the
    /// same for all callers that have no subject.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        let of =
            |name: Option<&str>| name.map_or_else(|| "-".to_owned(), |name| format!("{}:{name}", name.len()));
        let digest = digest_of(&format!("{} {}", of(self.issuer.as_deref()), of(self.subject.as_deref())));
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(digest) {
            *to = from;
        }
        short
    }

    /// Whether it may do `action` with any topic at all.
    ///
    /// # Errors
    ///
    /// The denial, when nothing is granted.
    pub fn check_any(&self, action: Action) -> Result<(), Denial> {
        let granted = match action {
            Action::Subscribe => &self.grants.subscribe,
            Action::Publish => &self.grants.publish,
        };
        if granted.is_empty() {
            let has_credentials = !self.is_anonymous();
            return Err(Denial::NothingGranted { action, has_credentials });
        }
        Ok(())
    }

    /// Whether it may do `action` with every one of `topics`.
    ///
    /// # Errors
    ///
    /// The denial for the first that it may not.
    pub fn check<'t>(
        &self,
        action: Action,
        topics: impl IntoIterator<Item = &'t Topic>,
    ) -> Result<(), Denial> {
        let granted = |topic: &Topic| match action {
            Action::Subscribe => self.grants.may_subscribe(topic),
            Action::Publish => self.grants.may_publish(topic),
        };
        match topics.into_iter().find(|topic| !granted(topic)) {
            None => Ok(()),
            Some(topic) if is_reserved(topic) => Err(Denial::Reserved { topic: topic.clone() }),
            Some(topic) if !self.is_anonymous() => Err(Denial::NotGranted { action, topic: topic.clone() }),
            Some(topic) => Err(Denial::Anonymous { action, topic: topic.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_issuers_and_subjects_apart() {
        let of = |issuer: Option<&str>, subject: Option<&str>| {
            let (issuer, subject) = (issuer.map(Into::into), subject.map(Into::into));
            Identity { issuer, subject, ..Identity::anonymous(Arc::default()) }.fingerprint()
        };
        let all = [
            of(None, None),
            of(None, Some("a")),
            of(Some("a"), None),
            of(Some("i"), Some("a")),
            of(Some("j"), Some("a")),
            of(Some("i"), Some("b")),
            of(Some("i 1:a"), None),
            of(None, Some("-")),
        ];
        for (at, fingerprint) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(fingerprint), "{at}");
        }
        assert_eq!(of(Some("i"), Some("a")), all[3]);
    }
}
