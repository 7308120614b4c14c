//! Reads a `SubjectPublicKeyInfo`: which kind of key it is, and the key itself as `ring` takes it. Source: RFC
//! 5280, section 4.1; RFC 8017, appendix A.1; RFC 5480; RFC 8410.
//!
//! What it reads comes from the configuration, so it needs no more of DER than these few kinds have.

use super::KeyError;

const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const BITS: u8 = 0x03;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The kinds of keys that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The kind of a public key and its bits: `RSAPublicKey`, an uncompressed point, or 32 bytes.
pub(super) fn public_key(info: &[u8]) -> Result<(Kind, &[u8]), KeyError> {
    read(info).ok_or_else(|| KeyError::Form("not a public key of RSA, P-256, P-384 or Ed25519".to_owned()))
}

fn read(info: &[u8]) -> Option<(Kind, &[u8])> {
    let (info, []) = element(SEQUENCE, info)? else { return None };
    let (algorithm, rest) = element(SEQUENCE, info)?;
    let (name, parameters) = element(OBJECT, algorithm)?;
    let kind = match name {
        RSA => Kind::Rsa,
        ED25519 => Kind::Ed25519,
        EC => match element(OBJECT, parameters)?.0 {
            P256 => Kind::P256,
            P384 => Kind::P384,
            _ => return None,
        },
        _ => return None,
    };
    let (bits, []) = element(BITS, rest)? else { return None };
    // The first byte counts the bits that are missing in the last.
    let key = bits.strip_prefix(&[0])?;
    let fits = match kind {
        Kind::Rsa => element(SEQUENCE, key).is_some_and(|(_, rest)| rest.is_empty()),
        Kind::P256 => key.len() == 65 && key[0] == 4,
        Kind::P384 => key.len() == 97 && key[0] == 4,
        Kind::Ed25519 => key.len() == 32,
    };
    fits.then_some((kind, key))
}

/// The content of the element of this `tag` at the beginning of `bytes`, and what comes behind it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_cut_anywhere_is_no_key() {
        let mut info = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        info.extend_from_slice(&[7; 32]);
        assert_eq!(public_key(&info), Ok((Kind::Ed25519, &[7; 32][..])));
        for len in 0..info.len() {
            assert!(public_key(&info[..len]).is_err(), "{len}");
        }
        info.push(0);
        assert!(public_key(&info).is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = public_key(&bytes);
        }
    }
}
