//! An issuer and its keys as they are now.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::jwks::Jwks;
use crate::keys::{self, Content, Key, KeyError};
use crate::measure;
use crate::settings::{IssuerSettings, KeySource};

/// A key file is not larger than this. Bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) settings: IssuerSettings,
    keys: RwLock<Arc<[Key]>>,
    pub(crate) source: Source,
}

/// Where keys may come from later.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nowhere: they are what the configuration says.
    Fixed,
    /// A file, and what it held when it was last read.
    File { path: PathBuf, content: Content, held: std::sync::Mutex<String> },
    /// A key set elsewhere.
    Jwks(Box<Jwks>),
}

impl Issuer {
    /// An issuer with the keys that can be had at once.
    pub(crate) fn begin(settings: IssuerSettings, jwks: impl FnOnce(&str) -> Jwks) -> Result<Self, KeyError> {
        let (text, content, source) = match &settings.keys {
            KeySource::Secret(secret) => (Some(secret.0.clone()), Content::Secret, Source::Fixed),
            KeySource::Public(text) => (Some(text.clone()), Content::Public, Source::Fixed),
            KeySource::SecretFile(path) => file(path, Content::Secret)?,
            KeySource::PublicFile(path) => file(path, Content::Public)?,
            KeySource::Jwks(url) => (None, Content::Public, Source::Jwks(Box::new(jwks(url)))),
        };
        let keys = text.map(|text| keys::read(content, &text, &settings)).transpose()?.unwrap_or_default();
        Ok(Self { settings, keys: RwLock::new(keys.into()), source })
    }

    /// The keys as they are now.
    pub(crate) fn keys(&self) -> Arc<[Key]> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes new keys; `state` counts that they have changed.
    pub(crate) fn replace(&self, keys: Vec<Key>, state: &AtomicU64) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
        state.fetch_add(1, Ordering::AcqRel);
    }

    /// Reads the key file again, if it is one and has changed. What is not readable leaves the keys as they are.
    pub(crate) fn look_at_file(&self, state: &AtomicU64) {
        let Source::File { path, content, held } = &self.source else { return };
        let shown = path.display();
        let text = match read_file(path) {
            Ok(text) => text,
            Err(error) => {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                // Told once: an empty text stands for "could not be read".
                if !std::mem::take(&mut *held).is_empty() {
                    measure::keys_loaded("file", "failed");
                    tracing::warn!(file = %shown, %error, "cannot read a key file; using the keys read last");
                }
                return;
            }
        };
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if *held == text {
            return;
        }
        match keys::read(*content, &text, &self.settings) {
            Ok(keys) => {
                self.replace(keys, state);
                measure::keys_loaded("file", "loaded");
                tracing::info!(file = %shown, "read a changed key file; using its keys");
            }
            Err(error) => {
                measure::keys_loaded("file", "failed");
                tracing::warn!(file = %shown, %error, "cannot use a changed key file; using the keys read last");
            }
        }
        *held = text;
    }
}

fn file(path: &Path, content: Content) -> Result<(Option<String>, Content, Source), KeyError> {
    let text = read_file(path).map_err(|error| KeyError::Unreadable(unreadable(&error)))?;
    let held = std::sync::Mutex::new(text.clone());
    Ok((Some(text), content, Source::File { path: path.to_owned(), content, held }))
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this process may not read it".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other("larger than a megabyte"));
    }
    std::fs::read_to_string(path)
}
