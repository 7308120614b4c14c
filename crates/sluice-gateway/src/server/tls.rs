//! TLS at the listener: a certificate that is read again when its files change, and what clients may choose.
//!
//! A pair that cannot be used never replaces one that can.

mod files;
mod keeper;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;

use self::files::Contents;
pub use self::files::TlsError;

/// Where certificates are.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate and those that signed it, in PEM.
    pub cert_file: PathBuf,
    /// Its key, in PEM.
    pub key_file: PathBuf,
    /// Authorities of the certificates that clients must show, in PEM; `None` asks for none.
    pub client_ca_file: Option<PathBuf>,
    /// How often the files are looked at.
    pub reload_interval: Duration,
}

/// The certificate in use. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: TlsSettings,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    contents: Contents,
    status: TlsStatus,
}

/// What a node says of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// When the first certificate of the chain ends. Seconds since the Unix epoch.
    pub expires_at_s: i64,
    /// Why the files that are there now are not in use, if they are not.
    pub problem: Option<String>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// What of them cannot be used, and why.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let contents = Contents::read(&settings)?;
        let (config, expires_at_s) = contents.config(&settings)?;
        let status = TlsStatus { expires_at_s, problem: None };
        let current = RwLock::new(Current { config, contents, status });
        let tls = Self { shared: Arc::new(Shared { settings, current }) };
        tls.publish();
        Ok(tls)
    }

    /// What is served now.
    #[must_use]
    pub fn status(&self) -> TlsStatus {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).status.clone()
    }

    /// What the next handshake is made with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }
}
