//! `auth.jwt.*`, the one issuer that most have, and `auth.issuers`, any number more, with the same keys.

use std::path::PathBuf;

use axum::http::Uri;
use figment::value::Dict;

use crate::config::raw;
use crate::config::secret::Secret;
use crate::config::section::Section;
use crate::config::takes::{Column, Form, Takes};

/// Algorithms that keys may be for.
pub const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];

/// Somebody who signs tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// `issuer`: what its tokens say in `iss`.
    pub issuer: Option<String>,
    /// `audience`: of what its tokens say in `aud`, one must be among these.
    pub audience: Vec<String>,
    /// `algorithms`: the only ones that its keys are used with.
    pub algorithms: Vec<&'static str>,
    /// `kid`: the name of its key.
    pub kid: Option<String>,
    /// Where its keys come from.
    pub keys: IssuerKeys,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKeys {
    /// `secret`: a shared secret.
    Secret(Secret),
    /// `secret_file`: a file that holds one.
    SecretFile(PathBuf),
    /// `key`: a public key as PEM, or a JSON Web Key Set.
    Key(String),
    /// `key_file`: a file that holds one.
    KeyFile(PathBuf),
    /// `jwks_url`: the address of a JSON Web Key Set.
    JwksUrl(String),
}

const RIGHT: &str = "must be an array of tables such as { issuer = \"https://idp.example\", audience = [\"sluice\"], \
                     jwks_url = \"https://idp.example/jwks.json\" }";
const ONE_SOURCE: &str = "needs one of secret, secret_file, key, key_file and jwks_url";

/// What is written, before it is known whether it fits together.
#[derive(Default)]
struct Written {
    issuer: String,
    audience: Vec<String>,
    algorithms: Vec<&'static str>,
    kid: String,
    secret: String,
    secret_file: String,
    key: String,
    key_file: String,
    jwks_url: String,
}

impl Issuer {
    /// The issuer of `auth.jwt.*`, if there is one.
    pub(super) fn read_flat(section: &mut Section<'_>, allow_http: bool) -> Option<Self> {
        let mut text =
            |key: &str| section.text(&format!("jwt.{key}"), String::new(), "must be a text", |_| Ok(()));
        let mut written = Written {
            issuer: text("issuer"),
            kid: text("kid"),
            secret_file: text("secret_file"),
            key: text("key"),
            key_file: text("key_file"),
            ..Written::default()
        };
        let secret = section.secret("jwt.secret", Secret::new(String::new()), "must be a text");
        secret.expose().clone_into(&mut written.secret);
        written.audience =
            section.list("jwt.audience", Vec::new(), "must list texts", |text| Ok(text.to_owned()));
        written.algorithms =
            section.words("jwt.algorithms", &ALGORITHMS, "must list algorithms such as \"RS256\"", algorithm);
        written.jwks_url = section.text("jwt.jwks_url", String::new(), JWKS_URL, |text| {
            if text.is_empty() { Ok(()) } else { check_url(text, allow_http) }
        });
        match written.judge(allow_http) {
            Ok(issuer) => issuer,
            Err(why) => {
                section.refuse("jwt.issuer", &format!("auth.jwt {why}"));
                None
            }
        }
    }

    /// Those of `auth.issuers`.
    pub(super) fn read_tables(section: &mut Section<'_>, allow_http: bool) -> Vec<Self> {
        let takes = Takes::secret(Form::Tables(Written::columns()), RIGHT);
        section.tables("issuers", takes, Self::literal, |table| {
            let issuer = Written::read(table)?.judge(allow_http)?;
            issuer.ok_or_else(|| ONE_SOURCE.to_owned())
        })
    }

    fn literal(&self) -> String {
        let mut parts = Vec::new();
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        if let Some(issuer) = &self.issuer {
            parts.push(format!("issuer = {}", raw::quoted(issuer)));
        }
        if !self.audience.is_empty() {
            parts
                .push(format!("audience = {}", list(self.audience.iter().map(|a| raw::quoted(a)).collect())));
        }
        if !self.algorithms.is_empty() {
            parts.push(format!(
                "algorithms = {}",
                list(self.algorithms.iter().map(|a| raw::quoted(a)).collect())
            ));
        }
        if let Some(kid) = &self.kid {
            parts.push(format!("kid = {}", raw::quoted(kid)));
        }
        let path = |path: &PathBuf| raw::quoted(&path.to_string_lossy());
        parts.push(match &self.keys {
            IssuerKeys::Secret(secret) => format!("secret = {}", raw::quoted(&secret.to_string())),
            IssuerKeys::SecretFile(file) => format!("secret_file = {}", path(file)),
            IssuerKeys::Key(key) => format!("key = {}", raw::quoted(key)),
            IssuerKeys::KeyFile(file) => format!("key_file = {}", path(file)),
            IssuerKeys::JwksUrl(url) => format!("jwks_url = {}", raw::quoted(url)),
        });
        format!("{{ {} }}", parts.join(", "))
    }
}

impl Written {
    fn columns() -> Vec<Column> {
        let text = |name| Column::optional(name, Form::Text);
        vec![
            text("issuer"),
            Column::optional("audience", Form::Texts),
            Column::optional("algorithms", Form::Words(&ALGORITHMS)),
            text("kid"),
            text("secret"),
            text("secret_file"),
            text("key"),
            text("key_file"),
            text("jwks_url"),
        ]
    }

    fn read(table: &Dict) -> Result<Self, String> {
        let mut written = Self::default();
        for (key, value) in table {
            let text = || raw::text(value).ok_or_else(|| format!("{key} must be a text"));
            let items = || raw::items(value).ok_or_else(|| format!("{key} must list texts"));
            match key.as_str() {
                "issuer" => written.issuer = text()?,
                "audience" => written.audience = items()?,
                "algorithms" => {
                    written.algorithms =
                        items()?.iter().map(|name| algorithm(name)).collect::<Result<_, _>>()?;
                }
                "kid" => written.kid = text()?,
                "secret" => written.secret = text()?,
                "secret_file" => written.secret_file = text()?,
                "key" => written.key = text()?,
                "key_file" => written.key_file = text()?,
                "jwks_url" => written.jwks_url = text()?,
                _ => {}
            }
        }
        Ok(written)
    }

    /// An issuer, or none where nothing is written. What is wrong never holds what is written.
    fn judge(self, allow_http: bool) -> Result<Option<Issuer>, String> {
        let some = |text: String| (!text.is_empty()).then_some(text);
        let file = |text: String| some(text).map(PathBuf::from);
        let bare = self.issuer.is_empty() && self.audience.is_empty() && self.algorithms.is_empty();
        let sources = [
            some(self.secret).map(|text| IssuerKeys::Secret(Secret::new(text))),
            file(self.secret_file).map(IssuerKeys::SecretFile),
            some(self.key).map(IssuerKeys::Key),
            file(self.key_file).map(IssuerKeys::KeyFile),
            some(self.jwks_url).map(IssuerKeys::JwksUrl),
        ];
        let mut sources = sources.into_iter().flatten();
        let (keys, None) = (sources.next(), sources.next()) else {
            return Err(format!("{ONE_SOURCE}, and not two of them"));
        };
        let Some(keys) = keys else {
            return if bare && self.kid.is_empty() { Ok(None) } else { Err(ONE_SOURCE.to_owned()) };
        };
        let mut algorithms = self.algorithms;
        let shared = matches!(keys, IssuerKeys::Secret(_) | IssuerKeys::SecretFile(_));
        if shared && algorithms.is_empty() {
            algorithms.push("HS256");
        }
        if algorithms.iter().any(|name| name.starts_with("HS") != shared) {
            return Err(
                "uses HS256, HS384 and HS512 with a secret, and the other algorithms with public keys"
                    .to_owned(),
            );
        }
        if let IssuerKeys::JwksUrl(url) = &keys {
            check_url(url, allow_http).map_err(|why| format!("has a jwks_url that {why}"))?;
        }
        Ok(Some(Issuer {
            issuer: some(self.issuer),
            audience: self.audience,
            algorithms,
            kid: some(self.kid),
            keys,
        }))
    }
}

fn algorithm(text: &str) -> Result<&'static str, String> {
    let known = ALGORITHMS.iter().find(|name| **name == text).copied();
    known.ok_or_else(|| {
        format!("there is no algorithm of this name here; there are {}", ALGORITHMS.join(", "))
    })
}

const JWKS_URL: &str =
    "must be https://host/path (http:// only for this machine, or with auth.jwks.allow_http)";

/// None of the answers repeats any part of `text`: it may hold a login.
fn check_url(text: &str, allow_http: bool) -> Result<(), String> {
    let uri: Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
    let authority = uri.authority().ok_or("names no host")?;
    if authority.as_str().contains('@') {
        return Err("holds a login, which is not sent".to_owned());
    }
    let local = matches!(authority.host(), "127.0.0.1" | "[::1]" | "localhost");
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if local || allow_http => Ok(()),
        Some("http") => {
            Err("is http:// to another machine: whoever is on the way could choose the keys".to_owned())
        }
        _ => Err("is neither https:// nor http://".to_owned()),
    }
}
