//! Certificates of a test: an authority that nobody else trusts, a server's and a client's certificate signed by it.
//!
//! The server's is for `127.0.0.1` and `localhost`. All are PEM files of one directory, as servers and clients
//! want them, and go with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

/// Where the files of an authority, a server and a client are.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: PathBuf,
}

/// Certificates for several servers that dial each other, in a directory of their own.
#[derive(Debug)]
pub(crate) struct SharedCertificates {
    _directory: TempDir,
    pub(crate) certificates: Certificates,
}

impl SharedCertificates {
    pub(crate) fn create() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("sluice-certificates-").tempdir()?;
        let certificates = Certificates::create_in(directory.path())?;
        Ok(Self { _directory: directory, certificates })
    }
}

impl Certificates {
    /// The files that [`Certificates::create_in`] made there before.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Makes new keys and certificates in `directory`, which must exist.
    pub fn create_in(directory: &Path) -> Result<Self> {
        let certificates = Self::in_directory(directory);
        let key = KeyPair::generate()?;
        let mut authority = named("Sluice test authority", &[])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        write(&certificates.ca_file(), "CERTIFICATE", authority.self_signed(&key)?.der())?;
        let issuer = Issuer::new(authority, key);

        let mut server = named("Sluice test server", &["127.0.0.1", "localhost"])?;
        // Redis dials its primary and its neighbours with the certificate that it serves with.
        server.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        issue(&server, &issuer, &certificates.server_cert_file(), &certificates.server_key_file())?;

        let mut client = named("Sluice test client", &["sluice.test"])?;
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(&client, &issuer, &certificates.client_cert_file(), &certificates.client_key_file())?;
        Ok(certificates)
    }

    /// The authority's certificate: what a client must trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server_cert_file(&self) -> PathBuf {
        self.directory.join("server.pem")
    }

    /// The server's private key, PKCS #8.
    #[must_use]
    pub fn server_key_file(&self) -> PathBuf {
        self.directory.join("server-key.pem")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client_cert_file(&self) -> PathBuf {
        self.directory.join("client.pem")
    }

    /// The client's private key, PKCS #8.
    #[must_use]
    pub fn client_key_file(&self) -> PathBuf {
        self.directory.join("client-key.pem")
    }
}

fn named(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn issue(
    params: &CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
    cert_file: &Path,
    key_file: &Path,
) -> Result<()> {
    let key = KeyPair::generate()?;
    write(cert_file, "CERTIFICATE", params.signed_by(&key, issuer)?.der())?;
    write(key_file, "PRIVATE KEY", key.serialized_der())
}

/// RFC 7468: base64 in lines of 64 characters between labels.
fn write(path: &Path, label: &str, der: &[u8]) -> Result<()> {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    fs::write(path, pem).with_context(|| format!("writing {}", path.display()))
}
