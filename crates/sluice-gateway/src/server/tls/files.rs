//! From PEM files to what rustls serves with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::TlsSettings;

/// What clients may choose, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be served with some files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or closed to this process.
    #[error("{file} cannot be read: {why}", file = .0.display(), why = .1)]
    Unreadable(PathBuf, std::io::Error),
    /// A file holds something else than what it should.
    #[error("{file} holds no {what} in PEM", file = .0.display(), what = .1)]
    Empty(PathBuf, &'static str),
    /// The key is of another certificate, or of a kind that is not supported.
    #[error("{cert} and {key} cannot be served with: {why}", cert = .0.display(), key = .1.display(), why = .2)]
    Pair(PathBuf, PathBuf, rustls::Error),
    /// The authorities of clients cannot be used.
    #[error("{file} names no usable authority: {why}", file = .0.display(), why = .1)]
    Authorities(PathBuf, String),
    /// The first certificate is not of the form that certificates have.
    #[error("{file} begins with a certificate that cannot be read", file = .0.display())]
    Certificate(PathBuf),
    /// The system gives no random bytes.
    #[error("session tickets cannot be made: {0}")]
    Tickets(rustls::Error),
}

/// The bytes of the files.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    chain: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl std::fmt::Debug for Contents {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contents")
    }
}

impl Contents {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|error| TlsError::Unreadable(path.to_owned(), error));
        Ok(Self {
            chain: read(&settings.cert_file)?,
            key: read(&settings.key_file)?,
            authorities: settings.client_ca_file.as_deref().map(read).transpose()?,
        })
    }

    /// What to serve with, and when its certificate ends in seconds since the Unix epoch.
    pub(super) fn config(&self, settings: &TlsSettings) -> Result<(Arc<ServerConfig>, i64), TlsError> {
        let TlsSettings { cert_file, key_file, client_ca_file, .. } = settings;
        let chain = certificates(&self.chain, cert_file)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::Empty(key_file.clone(), "private key"))?;
        let expires_at_s = expiry(&chain[0]).ok_or_else(|| TlsError::Certificate(cert_file.clone()))?;
        let pair = |error| TlsError::Pair(cert_file.clone(), key_file.clone(), error);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match client_ca_file.as_ref().zip(self.authorities.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((file, pem)) => {
                let unusable = |why: String| TlsError::Authorities(file.clone(), why);
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem, file)? {
                    roots.add(authority).map_err(|error| unusable(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unusable(error.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // Sessions are resumed by tickets that clients keep: nothing is remembered for each of them. The keys
        // of the tickets are new with every pair, so that none outlives an authority of clients.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Tickets)?;
        config.send_tls13_tickets = 1;
        Ok((Arc::new(config), expires_at_s))
    }
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| TlsError::Empty(file.to_owned(), "certificate"))
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
