//! API keys: long random texts that a configuration knows only by their hash.
//!
//! A key has 256 bits of chance, so one round of SHA-256 hides it as well as anything could: what slow hashes
//! guard is that which can be guessed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

/// What every key begins with, so that people and scanners know one when they see it.
const KEY_PREFIX: &str = "slk_";
const HASH_PREFIX: &str = "sha256:";
const KEY_BYTES: usize = 32;

/// The SHA-256 of a key, written `sha256:<64 hexadecimal digits>`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyHash([u8; 32]);

/// A text is no [`ApiKeyHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is sha256: and 64 hexadecimal digits; `sluice key` makes a key and prints its hash")]
pub struct ApiKeyHashError;

/// A key that was just made.
pub struct NewApiKey {
    /// The key itself: for whoever will send it, and nobody else.
    pub key: String,
    /// What the configuration knows of it.
    pub hash: ApiKeyHash,
}

impl NewApiKey {
    /// Makes a key; `None` when the system has no randomness to give.
    #[must_use]
    pub fn make() -> Option<Self> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let hash = ApiKeyHash::of(&key);
        Some(Self { key, hash })
    }
}

impl ApiKeyHash {
    /// The hash of `key`.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        Self(hash)
    }

    /// Whether both are of the same key, in a time that does not say where they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for ApiKeyHash {
    type Err = ApiKeyHashError;

    fn from_str(text: &str) -> Result<Self, ApiKeyHashError> {
        let digits = text.strip_prefix(HASH_PREFIX).filter(|digits| digits.len() == 64);
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(ApiKeyHashError)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| ApiKeyHashError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ApiKeyHashError)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_and_fits_its_key_only() {
        let [one, other] = [NewApiKey::make().unwrap(), NewApiKey::make().unwrap()];
        assert!(one.key.starts_with(KEY_PREFIX) && one.key.len() == 47 && !one.key.contains('.'));
        assert!(one.hash.to_string().parse::<ApiKeyHash>().unwrap().is(&ApiKeyHash::of(&one.key)));
        assert!(!one.hash.is(&other.hash));
        let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ApiKeyHash::of("abc").to_string(), known);
        for wrong in ["", "abc", "sha256:", "sha512:00", &known[..70], &known.replace("ba78", "+a78")] {
            assert_eq!(wrong.parse::<ApiKeyHash>(), Err(ApiKeyHashError), "{wrong}");
        }
    }
}
