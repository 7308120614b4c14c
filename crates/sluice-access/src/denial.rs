//! Every way in which credentials, or the lack of them, are refused: what it is called in metrics, what the
//! client is told, and the challenge of RFC 6750. None of the texts holds any part of a token.

use sluice_wire::{Problem, Topic};

use crate::identity::Action;

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The topic is not open to everybody, and nobody said who they are.
    Anonymous {
        /// What was wanted.
        action: Action,
        /// Of which topic.
        topic: Topic,
    },
    /// The request says that it must not be taken for an anonymous one, and it has no credentials that count.
    Missing,
    /// It is known who it is, and that they may not.
    NotGranted {
        /// What was wanted.
        action: Action,
        /// Of which topic.
        topic: Topic,
    },
    /// Only some API keys may revoke.
    RevokeNotGranted {
        /// Whether the caller has credentials.
        named: bool,
    },
    /// There is no topic with which it may be done.
    NothingGranted {
        /// What was wanted.
        action: Action,
        /// Whether the caller has shown any credentials.
        has_credentials: bool,
    },
    /// The topic is Sluice's own.
    Reserved {
        /// Which.
        topic: Topic,
    },
    /// The credentials are not good, and never will be.
    Invalid {
        /// The reason as metrics read it.
        reason: &'static str,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// A cookie came from a page that may not use it.
    Origin,
    /// Whether the credentials are good cannot be known now.
    Unavailable {
        /// The reason as metrics and clients read it.
        reason: &'static str,
        /// What is missing.
        detail: &'static str,
    },
}

impl Denial {
    pub(crate) fn invalid(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { reason, detail: detail.into() }
    }

    /// The reason as metrics read it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Anonymous { .. } => "anonymous",
            Self::Missing => "missing",
            Self::RevokeNotGranted { named: false } => "anonymous",
            Self::RevokeNotGranted { named: true } => "not-granted",
            Self::NothingGranted { has_credentials: false, .. } => "anonymous",
            Self::NotGranted { .. } | Self::NothingGranted { .. } => "not-granted",
            Self::Reserved { .. } => "reserved",
            Self::Invalid { reason, .. } | Self::Unavailable { reason, .. } => reason,
            Self::Origin => "origin",
        }
    }

    /// Whether the same credentials may be good in a moment, or on another node: for a browser's EventSource,
    /// which takes any status for the end, such a refusal must not be one.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// The reason for which new credentials would help, as a stream tells it in `sluice.expired`; `None` where only
    /// other rights, another request or another node would.
    #[must_use]
    pub fn renewable(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { reason: reason @ ("expired" | "revoked"), .. } => Some(reason),
            Self::Anonymous { .. } | Self::Missing => Some("missing"),
            _ => None,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Anonymous { action, topic } => Problem::new(
                401,
                "unauthorized",
                "Authentication needed",
                format!(
                    "to {} to topic {topic} needs a token or an API key (Authorization: Bearer ..); \
                     auth.anonymous.{} lists what needs none",
                    action.as_str(),
                    action.as_str()
                ),
            ),
            Self::Missing => Problem::new(
                401,
                "unauthorized",
                "Authentication needed",
                "the request says auth=required and has no credentials that count here: send a token or an API key \
                 (Authorization: Bearer ..), or the cookie from a page of this host or of cors.origins",
            ),
            Self::NotGranted { action, topic } => Problem::new(
                403,
                "forbidden",
                "Not granted",
                format!("these credentials do not grant to {} to topic {topic}", action.as_str()),
            ),
            Self::RevokeNotGranted { named } => {
                let (status, slug, title) = match named {
                    true => (403, "forbidden", "Not granted"),
                    false => (401, "unauthorized", "Authentication needed"),
                };
                let detail = "to revoke credentials needs an API key with revoke = true in auth.api_keys \
                              (Authorization: Bearer ..)";
                Problem::new(status, slug, title, detail)
            }
            Self::NothingGranted { action, has_credentials: true } => Problem::new(
                403,
                "forbidden",
                "Not granted",
                format!("these credentials do not grant to {} to any topic", action.as_str()),
            ),
            Self::NothingGranted { action, has_credentials: false } => Problem::new(
                401,
                "unauthorized",
                "Authentication needed",
                format!(
                    "to {} needs a token or an API key (Authorization: Bearer ..); auth.anonymous.{} is empty",
                    action.as_str(),
                    action.as_str()
                ),
            ),
            Self::Reserved { topic } => Problem::new(
                403,
                "reserved-topic",
                "A topic of Sluice itself",
                format!("{topic} is Sluice's own, whatever the credentials grant; choose another name"),
            ),
            Self::Invalid { detail, .. } => {
                Problem::new(401, "invalid-token", "The credentials are not valid", detail.clone())
            }
            Self::Origin => Problem::new(
                403,
                "origin-not-allowed",
                "A cookie from a page that may not use it",
                "a request that is authorized by a cookie must say in `Origin` that it comes from this host or \
                 from one of cors.origins; elsewhere send Authorization: Bearer",
            ),
            Self::Unavailable { reason, detail } => {
                Problem::new(503, reason, "Credentials cannot be judged now", *detail).retry_after(2)
            }
        }
    }

    /// The `WWW-Authenticate` header of the answer, where it has one. Source: RFC 6750, section 3.
    #[must_use]
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Anonymous { .. }
            | Self::Missing
            | Self::RevokeNotGranted { named: false }
            | Self::NothingGranted { has_credentials: false, .. } => Some(r#"Bearer realm="sluice""#),
            Self::NotGranted { .. }
            | Self::RevokeNotGranted { named: true }
            | Self::NothingGranted { .. } => Some(r#"Bearer realm="sluice", error="insufficient_scope""#),
            Self::Invalid { reason, .. } => Some(match *reason {
                "expired" => {
                    r#"Bearer realm="sluice", error="invalid_token", error_description="the token has expired""#
                }
                "revoked" => {
                    r#"Bearer realm="sluice", error="invalid_token", error_description="the token is revoked""#
                }
                _ => r#"Bearer realm="sluice", error="invalid_token""#,
            }),
            Self::Reserved { .. } | Self::Origin | Self::Unavailable { .. } => None,
        }
    }
}
