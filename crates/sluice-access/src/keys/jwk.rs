//! JSON Web Key Sets. Source: RFC 7517, RFC 7518.
//!
//! Keys are read one by one, since a set may hold keys for other purposes, of kinds that nobody here knows.
//! Symmetric keys are never taken from a set: what everybody can fetch is no secret.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::{Key, KeyError};

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

pub(super) fn set(json: &[u8], allowed: &[Algorithm]) -> Result<Vec<Key>, KeyError> {
    // Of an array the first item would be taken for `keys`.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(KeyError::Form("not an object {\"keys\": [..]}".to_owned()));
    }
    let set: Set = serde_json::from_slice(json)
        .map_err(|error| KeyError::Form(format!("not {{\"keys\": [..]}}, line {}", error.line())))?;
    let (mut keys, mut why) = (Vec::new(), "it is empty");
    for value in set.keys {
        match usable(value, allowed) {
            Ok(usable) => keys.extend(usable),
            Err(reason) => why = reason,
        }
    }
    if keys.is_empty() { Err(KeyError::Empty(why.to_owned())) } else { Ok(keys) }
}

/// One key for each algorithm that it may be used with: one where the key says so itself.
fn usable(value: serde_json::Value, allowed: &[Algorithm]) -> Result<Vec<Key>, &'static str> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| "a key is not readable")?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies =
        common.key_operations.as_ref().is_none_or(|purposes| purposes.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return Err("a key is not for signatures");
    }
    let fitting = fitting(&jwk.algorithm)?;
    let chosen: Vec<Algorithm> = match common.key_algorithm {
        Some(KeyAlgorithm::UNKNOWN_ALGORITHM) => return Err("a key is for an unknown algorithm"),
        Some(own) => {
            let own = Algorithm::try_from(own).map_err(|_| "a key is not for signatures")?;
            fitting.iter().copied().filter(|algorithm| *algorithm == own && permits(allowed, own)).collect()
        }
        // The first is what keys of the kind are usually for.
        None if allowed.is_empty() => fitting.iter().take(1).copied().collect(),
        None => fitting.iter().copied().filter(|algorithm| allowed.contains(algorithm)).collect(),
    };
    if chosen.is_empty() {
        return Err("a key is not for an algorithm that is allowed here");
    }
    let material = DecodingKey::from_jwk(&jwk).map_err(|_| "a key is not readable")?;
    let kid: Option<Box<str>> = common.key_id.as_deref().map(Into::into);
    let key = |algorithm| Key { kid: kid.clone(), algorithm, material: material.clone() };
    Ok(chosen.into_iter().map(key).collect())
}

fn permits(allowed: &[Algorithm], algorithm: Algorithm) -> bool {
    allowed.is_empty() || allowed.contains(&algorithm)
}

/// The algorithms that keys of this kind can be used with.
fn fitting(parameters: &AlgorithmParameters) -> Result<&'static [Algorithm], &'static str> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => Ok(&[RS256, RS384, RS512, PS256, PS384, PS512]),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Ok(&[ES256]),
            EllipticCurve::P384 => Ok(&[ES384]),
            _ => Err("a key is of a curve that is not supported"),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Ok(&[EdDSA]),
        AlgorithmParameters::OctetKey(_) => Err("a key is a shared secret, which no set may hold"),
        _ => Err("a key is of a kind that is not supported"),
    }
}
