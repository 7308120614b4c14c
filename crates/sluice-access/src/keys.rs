//! The keys of issuers. A key is good for one algorithm and for nothing else, which is settled when it is read
//! and not by what a token says: a public key can never be taken for a shared secret.

mod der;
mod jwk;
mod pem;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use crate::settings::IssuerSettings;

/// The least length of a shared secret. Bytes. `sluice doctor` asks for as many as the hash has.
const SECRET_BYTES_MIN: usize = 16;
/// Keys of one set: what a token without a `kid` may cost.
const SET_KEYS_MAX: usize = 64;

/// A key and what it is good for.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Its name among the keys of its issuer.
    pub(crate) kid: Option<Box<str>>,
    /// The one algorithm that it verifies.
    pub(crate) algorithm: Algorithm,
    pub(crate) material: DecodingKey,
}

/// Why keys cannot be used. None of the texts repeats any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file is not there, or closed to this process.
    #[error("{0}")]
    Unreadable(String),
    /// A secret that could be guessed.
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes; `openssl rand -base64 48` makes one")]
    ShortSecret,
    /// A secret that is a public key.
    #[error("a public key is no secret: configure it as key or key_file")]
    PublicSecret,
    /// A private key where a public one belongs.
    #[error("this is a private key; Sluice only verifies: give it the public one (openssl pkey -pubout)")]
    Private,
    /// It is neither PEM nor a key set.
    #[error("this is neither a public key as PEM (BEGIN PUBLIC KEY) nor a JSON Web Key Set: {0}")]
    Form(String),
    /// The algorithm is not that of the key.
    #[error("a key of this kind ({kind}) is not for {algorithm}")]
    Kind {
        /// What the key is.
        kind: &'static str,
        /// What it was configured for.
        algorithm: String,
    },
    /// The algorithm must be said.
    #[error("say which one algorithm the key is for, such as HS256, RS256, ES256 or EdDSA")]
    Algorithm,
    /// Nothing in a set can be used.
    #[error("no key of the set can be used: {0}")]
    Empty(String),
}

/// What a text that is read by configuration holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A shared secret.
    Secret,
    /// A public key, or a set of them.
    Public,
}

/// The keys of an issuer in `text`.
pub(crate) fn read(content: Content, text: &str, issuer: &IssuerSettings) -> Result<Vec<Key>, KeyError> {
    let text = text.trim();
    match content {
        Content::Secret => secret(text, issuer).map(|key| vec![key]),
        Content::Public if text.starts_with('{') => {
            let keys = set(text.as_bytes(), &issuer.algorithms)?;
            let named = |key: &Key| issuer.kid.is_none() || key.kid.as_deref() == issuer.kid.as_deref();
            Ok(keys.into_iter().filter(named).collect())
        }
        Content::Public => {
            let [algorithm] = *issuer.algorithms.as_slice() else { return Err(KeyError::Algorithm) };
            let material = pem::public_key(text, algorithm)?;
            Ok(vec![Key { kid: issuer.kid.as_deref().map(Into::into), algorithm, material }])
        }
    }
}

/// The keys of a JSON Web Key Set that can be used; those that cannot are left out.
pub(crate) fn set(json: &[u8], allowed: &[Algorithm]) -> Result<Vec<Key>, KeyError> {
    let mut keys = jwk::set(json, allowed)?;
    keys.truncate(SET_KEYS_MAX);
    Ok(keys)
}

fn secret(text: &str, issuer: &IssuerSettings) -> Result<Key, KeyError> {
    let [algorithm] = *issuer.algorithms.as_slice() else { return Err(KeyError::Algorithm) };
    if text.contains("-----BEGIN") || text.starts_with('{') {
        return Err(KeyError::PublicSecret);
    }
    if algorithm.family() != AlgorithmFamily::Hmac {
        return Err(KeyError::Kind { kind: "a secret", algorithm: format!("{algorithm:?}") });
    }
    if text.len() < SECRET_BYTES_MIN {
        return Err(KeyError::ShortSecret);
    }
    let material = DecodingKey::from_secret(text.as_bytes());
    Ok(Key { kid: issuer.kid.as_deref().map(Into::into), algorithm, material })
}
