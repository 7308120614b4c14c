//! The judgement about one token, without clocks and without input or output: which key may have signed it,
//! whether it did, and whether what it says holds now.
//!
//! A token's header is believed in two points only: its `kid` and its `alg` choose among the keys that the
//! configuration names, each of which has one algorithm. `jku`, `jwk`, `x5u` and `x5c` are never looked at.

mod claims;
mod provider;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use self::claims::{ClaimRules, Claims};
pub(crate) use self::provider::install;
use crate::denial::Denial;
use crate::keys::Key;

/// A token is not longer than this.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Signatures that are tried for one token at most: several keys may fit one without a `kid`.
const TRIES_MAX: usize = 16;

/// What a token's header says, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    alg: String,
    pub(crate) kid: Option<String>,
    typ: Option<String>,
    /// What must be understood; there is nothing of the kind that is.
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    enc: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    zip: Option<serde::de::IgnoredAny>,
}

/// What is needed of a token before it is verified.
#[derive(Debug)]
pub(crate) struct Unverified<'t> {
    token: &'t str,
    pub(crate) header: Header,
    /// Who says that they have signed it.
    pub(crate) issuer: Option<String>,
    /// When it ends by its own words, in seconds since 1970, where it says so in a form that can be read.
    expires_s: Option<f64>,
}

/// What came of trying keys.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A key fits; the verified claims as JSON.
    Signed(Box<RawValue>),
    /// Keys were tried, and none has signed it.
    Forged,
    /// A key has signed it, and it cannot be read.
    Unreadable,
    /// There is no key of this name.
    UnknownKey,
    /// There is a key of this name, for another algorithm.
    OtherAlgorithm,
}

#[derive(Deserialize)]
struct Issuer {
    iss: Option<String>,
}

#[derive(Deserialize)]
struct Expiry {
    exp: f64,
}

/// Reads a JSON object. Of an array the items would be taken for the fields, in their order.
pub(crate) fn object<T: serde::de::DeserializeOwned>(json: &[u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(json).ok()).flatten()
}

impl<'t> Unverified<'t> {
    /// Takes `token` apart.
    pub(crate) fn parse(token: &'t str) -> Result<Self, Denial> {
        let malformed = |detail: &str| Denial::invalid("malformed", detail);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed("the token is longer than 8 KiB"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed(
                "this is neither an API key of this system nor a signed JWT of three parts",
            ));
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Option<Header> = decode(header).and_then(|json| object(&json));
        let header = header.ok_or_else(|| malformed("the token's header is not readable"))?;
        let payload = decode(payload);
        // What is not of its form is refused with the other claims, once the signature is known to be good.
        let expiry: Option<Expiry> = payload.as_ref().and_then(|json| object(json));
        let claims: Option<Issuer> = payload.and_then(|json| object(&json));
        let claims = claims.ok_or_else(|| malformed("the token's claims are not readable"))?;
        header.check()?;
        Ok(Self { token, header, issuer: claims.iss, expires_s: expiry.map(|expiry| expiry.exp) })
    }

    /// Whether the token says of itself that it has expired: then it is worth nothing, whoever has signed it, and it is
    /// refused before a signature is tried or a key set is fetched. A client that comes back after days is told that its
    /// token has expired even if the key of that time is no longer known.
    pub(crate) fn check_expired(&self, rules: &ClaimRules, now_ms: u64) -> Result<(), Denial> {
        match self.expires_s.and_then(claims::in_millis) {
            Some(expires_ms) => rules.check_expired(expires_ms, now_ms),
            None => Ok(()),
        }
    }

    /// Those of `keys` that may have signed it, by their names. A token without a `kid` means any, a key without one
    /// may be any.
    pub(crate) fn candidates<'k>(&self, keys: &'k [Key]) -> impl Iterator<Item = &'k Key> {
        let kid = self.header.kid.as_deref();
        keys.iter().filter(move |key| key.kid.is_none() || kid.is_none() || key.kid.as_deref() == kid)
    }

    /// Whether one of `keys` has the name that it says: no other can have signed it.
    pub(crate) fn names_one_of(&self, keys: &[Key]) -> bool {
        self.header.kid.is_some() && keys.iter().any(|key| key.kid.as_deref() == self.header.kid.as_deref())
    }

    /// Tries those of `keys` that may have signed it.
    pub(crate) fn verify(&self, keys: &[Key]) -> Verdict {
        let (mut tried, mut other) = (0, false);
        for key in self.candidates(keys) {
            if format!("{:?}", key.algorithm) != self.header.alg {
                other = true;
                continue;
            }
            if tried == TRIES_MAX {
                break;
            }
            tried += 1;
            match jsonwebtoken::decode(self.token, &key.material, &signature_only(key)) {
                Ok(data) => return Verdict::Signed(data.claims),
                // What is said is read after who says it.
                Err(error) if matches!(error.kind(), ErrorKind::Json(_) | ErrorKind::Utf8(_)) => {
                    return Verdict::Unreadable;
                }
                Err(_) => {}
            }
        }
        match (tried, other) {
            (0, false) => Verdict::UnknownKey,
            (0, true) => Verdict::OtherAlgorithm,
            _ => Verdict::Forged,
        }
    }
}

impl Header {
    fn check(&self) -> Result<(), Denial> {
        let malformed = |detail: &str| Err(Denial::invalid("malformed", detail));
        if self.alg.eq_ignore_ascii_case("none") {
            return Err(Denial::invalid("algorithm", "the token is not signed (alg none)"));
        }
        if self.crit.is_some() {
            return malformed("the token's header holds `crit`, which demands what is not supported");
        }
        if self.enc.is_some() || self.zip.is_some() {
            return malformed("encrypted and compressed tokens are not read");
        }
        // Tokens that were made for another purpose. Source: RFC 8725, section 3.11.
        let typ = self.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "jwt" | "at+jwt" => Ok(()),
            _ => malformed("the token's `typ` is neither JWT nor at+jwt"),
        }
    }
}

/// The signature and nothing else: claims are judged by a clock that is given.
fn signature_only(key: &Key) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}
