//! Public keys as PEM.

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

use super::KeyError;
use super::der::{self, Kind};

/// The key in `text`, to be used with `algorithm`.
pub(super) fn public_key(text: &str, algorithm: Algorithm) -> Result<DecodingKey, KeyError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    let info = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
        .map_err(|error| KeyError::Form(error.to_string()))?;
    let (kind, key) = der::public_key(&info)?;
    check(kind, algorithm)?;
    Ok(match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_der(key),
        AlgorithmFamily::Ec => DecodingKey::from_ec_der(key),
        // `check` has refused HMAC.
        AlgorithmFamily::Ed | AlgorithmFamily::Hmac => DecodingKey::from_ed_der(key),
    })
}

fn check(kind: Kind, algorithm: Algorithm) -> Result<(), KeyError> {
    let (name, fits) = match kind {
        Kind::Rsa => ("RSA", algorithm.family() == AlgorithmFamily::Rsa),
        Kind::P256 => ("P-256", algorithm == Algorithm::ES256),
        Kind::P384 => ("P-384", algorithm == Algorithm::ES384),
        Kind::Ed25519 => ("Ed25519", algorithm == Algorithm::EdDSA),
    };
    if fits { Ok(()) } else { Err(KeyError::Kind { kind: name, algorithm: format!("{algorithm:?}") }) }
}
