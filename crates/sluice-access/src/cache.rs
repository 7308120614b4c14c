//! Tokens that were verified lately: a publisher sends the same one with each of its requests, and a signature
//! costs more than an append.
//!
//! An entry is found by the SHA-256 of the whole token, so that what is not the same token is not found; it is worth
//! nothing once any issuer's keys have changed. Times and revocations are judged anew each time.

use std::collections::HashMap;
use std::sync::Mutex;

use ring::digest::{SHA256, digest};

use crate::identity::Identity;

/// Entries of one half: when the younger half is full, it becomes the older one, which is forgotten.
const HALF: usize = 1_024;

type Digest = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct Verified {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    /// The state of all keys that the entries were verified with.
    keys: u64,
    young: HashMap<Digest, Identity>,
    old: HashMap<Digest, Identity>,
}

/// What a token is found by.
pub(crate) fn digest_of(token: &str) -> Digest {
    let mut found_by = [0; 32];
    found_by.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    found_by
}

impl Verified {
    /// Whose token this is, if it was verified with the keys of the state `keys`.
    pub(crate) fn get(&self, token: &Digest, keys: u64) -> Option<Identity> {
        let mut halves = self.halves.lock().unwrap_or_else(sluice_failure::poisoned);
        if halves.keys != keys {
            return None;
        }
        if let Some(identity) = halves.young.get(token) {
            return Some(identity.clone());
        }
        let identity = halves.old.remove(token)?;
        halves.put(*token, identity.clone());
        Some(identity)
    }

    /// Remembers a token that was verified with the keys of the state `keys`.
    pub(crate) fn put(&self, token: Digest, identity: Identity, keys: u64) {
        let mut halves = self.halves.lock().unwrap_or_else(sluice_failure::poisoned);
        if halves.keys > keys {
            return;
        }
        if halves.keys < keys {
            *halves = Halves { keys, ..Halves::default() };
        }
        halves.put(token, identity);
    }
}

impl Halves {
    fn put(&mut self, token: Digest, identity: Identity) {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, identity);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_with_the_keys() {
        let verified = Verified::default();
        let identity = Identity::anonymous(Arc::default());
        let token = |n: usize| digest_of(&n.to_string());
        for n in 0..10 * HALF {
            verified.put(token(n), identity.clone(), 1);
            assert!(verified.get(&token(0), 1).is_some(), "what is used stays, {n}");
        }
        let known = (0..10 * HALF).filter(|n| verified.halves.lock().unwrap().young.contains_key(&token(*n)));
        assert!(known.count() <= HALF);
        assert!(verified.get(&token(0), 2).is_none());
        verified.put(token(1), identity.clone(), 2);
        assert!(verified.get(&token(0), 2).is_none() && verified.get(&token(0), 1).is_none());
        verified.put(token(3), identity, 1);
        assert!(verified.get(&token(3), 2).is_none(), "what was verified with old keys comes too late");
    }
}
