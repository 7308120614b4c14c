//! `[auth]`: who may do what.

mod api_key;
mod issuer;

use std::time::Duration;

use sluice_wire::{TopicPattern, TopicTemplate};

pub use self::api_key::ApiKey;
pub use self::issuer::{ALGORITHMS, Issuer, IssuerKeys};
use super::Role;
use super::section::Section;

/// Access rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// What needs no credentials.
    pub anonymous: Anonymous,
    /// What whoever has a token may do beside what it says.
    pub subject: Subject,
    /// `auth.jwt.*` and behind it `auth.issuers`: none. Whose tokens are good.
    pub issuers: Vec<Issuer>,
    /// Whether the first of them is that of `auth.jwt.*`.
    pub flat_issuer: bool,
    /// `auth.api_keys`: none. Keys that are good by themselves.
    pub api_keys: Vec<ApiKey>,
    /// `auth.cookie`: "`sluice_token`". The cookie that is a token; `None` ("" in a file) for none.
    pub cookie: Option<String>,
    /// `auth.query_token`: false. Whether `?access_token=` is a token.
    pub query_token: bool,
    /// `auth.expired_as_event`: true. Whether a browser whose credentials no longer count is told in a stream instead of
    /// by a status.
    pub expired_as_event: bool,
    /// `auth.leeway_s`: 10. How far the clocks of issuers may be off.
    pub leeway: Duration,
    /// `auth.expiry_jitter_s`: 10. How long before the end of its token a stream may be ended.
    pub expiry_jitter: Duration,
    /// `auth.grants_claim`: "sluice". The claim that holds topic patterns.
    pub grants_claim: String,
    /// `auth.scope_prefix`: "sluice". What scopes that are grants begin with; `None` ("") reads no scopes.
    pub scope_prefix: Option<String>,
    /// `auth.revocation_max_s`: 31 days. The longest that somebody can be revoked for.
    pub revocation_max: Duration,
    /// `auth.revocations_max`: 100,000. Revocations in force at once.
    pub revocations_max: usize,
    /// How key sets are fetched.
    pub jwks: Jwks,
}

/// Topics open to everybody; all others are refused with 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymous {
    /// `auth.anonymous.subscribe`: none; `["**"]` in `dev`.
    pub subscribe: Vec<TopicPattern>,
    /// `auth.anonymous.publish`: none; `["**"]` in `dev`.
    pub publish: Vec<TopicPattern>,
}

/// Topics of whoever has a token; `{sub}` is its subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// `auth.subject.subscribe`: none.
    pub subscribe: Vec<TopicTemplate>,
    /// `auth.subject.publish`: none.
    pub publish: Vec<TopicTemplate>,
}

/// How key sets are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jwks {
    /// `auth.jwks.refresh_s`: 300.
    pub refresh: Duration,
    /// `auth.jwks.unknown_key_interval_ms`: 5,000. Between two fetches that tokens with unknown keys ask for.
    pub unknown_key_interval: Duration,
    /// `auth.jwks.timeout_ms`: 5,000.
    pub timeout: Duration,
    /// `auth.jwks.bytes_max`: 256 KiB.
    pub bytes_max: usize,
    /// `auth.jwks.allow_http`: false. Whether sets may come in the clear from elsewhere than this machine.
    pub allow_http: bool,
}

impl Auth {
    pub(super) fn default_for(role: Role) -> Self {
        let open: Vec<TopicPattern> = match role {
            Role::Dev => TopicPattern::parse("**").into_iter().collect(),
            Role::Gateway | Role::Publisher | Role::Client => Vec::new(),
        };
        Self {
            anonymous: Anonymous { subscribe: open.clone(), publish: open },
            subject: Subject::default(),
            flat_issuer: false,
            issuers: Vec::new(),
            api_keys: Vec::new(),
            cookie: Some("sluice_token".to_owned()),
            query_token: false,
            expired_as_event: true,
            leeway: Duration::from_secs(10),
            expiry_jitter: Duration::from_secs(10),
            grants_claim: "sluice".to_owned(),
            scope_prefix: Some("sluice".to_owned()),
            revocation_max: Duration::from_secs(31 * 86_400),
            revocations_max: 100_000,
            jwks: Jwks {
                refresh: Duration::from_secs(300),
                unknown_key_interval: Duration::from_secs(5),
                timeout: Duration::from_secs(5),
                bytes_max: 256 << 10,
                allow_http: false,
            },
        }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let Anonymous { subscribe, publish } = default.anonymous.clone();
        let anonymous = Anonymous {
            subscribe: patterns(section, "anonymous.subscribe", subscribe),
            publish: patterns(section, "anonymous.publish", publish),
        };
        let subject = Subject {
            subscribe: templates(section, "subject.subscribe"),
            publish: templates(section, "subject.publish"),
        };
        let jwks = Jwks::read(section, default.jwks);
        let mut issuers: Vec<Issuer> = Issuer::read_flat(section, jwks.allow_http).into_iter().collect();
        let flat_issuer = !issuers.is_empty();
        issuers.extend(Issuer::read_tables(section, jwks.allow_http));
        let name = "must be a name of A-Z a-z 0-9 . _ - and at most 64 characters, or nothing";
        let cookie = default.cookie.clone().unwrap_or_default();
        let scope = default.scope_prefix.clone().unwrap_or_default();
        Self {
            anonymous,
            subject,
            flat_issuer,
            issuers,
            api_keys: ApiKey::read_tables(section),
            cookie: some(section.text("cookie", cookie, name, check_name)),
            query_token: section.switch("query_token", default.query_token),
            expired_as_event: section.switch("expired_as_event", default.expired_as_event),
            leeway: section.seconds("leeway_s", default.leeway, 0..=600),
            expiry_jitter: section.seconds("expiry_jitter_s", default.expiry_jitter, 0..=3_600),
            grants_claim: section.text("grants_claim", default.grants_claim.clone(), CLAIM, check_claim),
            scope_prefix: some(section.text("scope_prefix", scope, name, check_name)),
            revocation_max: section.seconds(
                "revocation_max_s",
                default.revocation_max,
                60..=10 * 365 * 86_400,
            ),
            revocations_max: section.integer("revocations_max", default.revocations_max, 1..=10_000_000),
            jwks,
        }
    }
}

impl Jwks {
    fn read(section: &mut Section<'_>, d: Self) -> Self {
        Self {
            refresh: section.seconds("jwks.refresh_s", d.refresh, 1..=86_400),
            unknown_key_interval: section.millis(
                "jwks.unknown_key_interval_ms",
                d.unknown_key_interval,
                100..=3_600_000,
            ),
            timeout: section.millis("jwks.timeout_ms", d.timeout, 100..=60_000),
            bytes_max: section.bytes("jwks.bytes_max", d.bytes_max, 1_024..=16 << 20),
            allow_http: section.switch("jwks.allow_http", d.allow_http),
        }
    }
}

const PATTERNS: &str =
    "must list topic patterns such as \"orders/*\" (one segment) or \"public/**\" (any number)";
const CLAIM: &str = "must be the name of a claim, such as \"sluice\" or \"https://example.com/sluice\"";

fn patterns(section: &mut Section<'_>, key: &str, default: Vec<TopicPattern>) -> Vec<TopicPattern> {
    section.list(key, default, PATTERNS, |text| {
        TopicPattern::parse(text).map_err(|error| format!("{text:?}: {error}"))
    })
}

fn templates(section: &mut Section<'_>, key: &str) -> Vec<TopicTemplate> {
    let right = "must list topic patterns in which a segment may be {sub}, such as \"user/{sub}/**\"";
    section.list(key, Vec::new(), right, |text| {
        TopicTemplate::parse(text).map_err(|error| format!("{text:?}: {error}"))
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn check_name(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() <= 64 && text.chars().all(allowed) { Ok(()) } else { Err(String::new()) }
}

fn check_claim(text: &str) -> Result<(), String> {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if (1..=256).contains(&text.len()) && plain { Ok(()) } else { Err(String::new()) }
}
