//! What [`Access`](crate::Access) can be told. Plain values: reading and checking configuration is the binary's
//! affair.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sluice_wire::TopicTemplate;

use crate::api_key::ApiKeyHash;
use crate::identity::Grants;

pub use jsonwebtoken::Algorithm;

/// Who is let in, and for what.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// What needs no credentials; whoever has some may do it too.
    pub anonymous: Grants,
    /// What whoever has a token may do beside what it says.
    pub subject_subscribe: Vec<TopicTemplate>,
    /// As [`Self::subject_subscribe`], for publishing.
    pub subject_publish: Vec<TopicTemplate>,
    /// The cookie that is a token, if one is.
    pub cookie: Option<String>,
    /// Origins, beside the request's own host, whose pages may use the cookie.
    pub cookie_origins: Vec<String>,
    /// Whether `?access_token=` is a token.
    pub query_token: bool,
    /// How far the clocks of issuers may be off.
    pub leeway: Duration,
    /// The claim that holds `{"subscribe": [..], "publish": [..]}`.
    pub grants_claim: String,
    /// What scopes that are grants begin with, as in `sluice:subscribe:orders/*`; `None` reads no scopes.
    pub scope_prefix: Option<String>,
    /// Whose tokens are good.
    pub issuers: Vec<IssuerSettings>,
    /// Keys that are good by themselves.
    pub api_keys: Vec<ApiKeySettings>,
    /// How key sets are fetched.
    pub jwks: JwksSettings,
    /// How often key files are looked at.
    pub files_every: Duration,
    /// Whether nobody is let in by credentials before [`Access::revocations_known`](crate::Access::revocations_known)
    /// was called.
    pub await_revocations: bool,
}

/// Somebody who signs tokens.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// What its tokens say in `iss`; without it, tokens of whom no other issuer has the name.
    pub issuer: Option<String>,
    /// Of what its tokens say in `aud` one must be among these. Without any, tokens must not be for anybody in
    /// particular.
    pub audience: Vec<String>,
    /// The only algorithms that its keys are used with. Exactly one for a secret or a PEM key; none for key sets
    /// means: what each key of the set is for.
    pub algorithms: Vec<Algorithm>,
    /// The name of its key, where that has one.
    pub kid: Option<String>,
    /// Where its keys come from.
    pub keys: KeySource,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A shared secret, for HS256, HS384 and HS512.
    Secret(SecretText),
    /// A file that holds one.
    SecretFile(PathBuf),
    /// A public key as PEM, or a JSON Web Key Set.
    Public(String),
    /// A file that holds one.
    PublicFile(PathBuf),
    /// The address of a JSON Web Key Set.
    Jwks(String),
}

/// A text that is never printed.
#[derive(Clone)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key that is good by itself, for as long as it is configured.
#[derive(Debug, Clone)]
pub struct ApiKeySettings {
    /// Whose it is: its identity's subject is `key:<name>`.
    pub name: String,
    /// What is known of it.
    pub hash: ApiKeyHash,
    /// What it may do.
    pub grants: Grants,
}

/// How key sets are fetched.
#[derive(Debug, Clone, Copy)]
pub struct JwksSettings {
    /// How often, while nothing asks for more.
    pub refresh: Duration,
    /// How long between two fetches that tokens with unknown keys ask for.
    pub unknown_key_interval: Duration,
    /// How long a fetch may take.
    pub timeout: Duration,
    /// How large a set may be.
    pub bytes_max: usize,
}

impl Default for AccessSettings {
    /// The defaults of the configuration: nobody may do anything.
    fn default() -> Self {
        Self {
            anonymous: Grants::default(),
            subject_subscribe: Vec::new(),
            subject_publish: Vec::new(),
            cookie: Some("sluice_token".to_owned()),
            cookie_origins: Vec::new(),
            query_token: false,
            leeway: Duration::from_secs(10),
            grants_claim: "sluice".to_owned(),
            scope_prefix: Some("sluice".to_owned()),
            issuers: Vec::new(),
            api_keys: Vec::new(),
            jwks: JwksSettings::default(),
            files_every: Duration::from_secs(5),
            await_revocations: false,
        }
    }
}

impl Default for JwksSettings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            unknown_key_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            bytes_max: 256 << 10,
        }
    }
}
