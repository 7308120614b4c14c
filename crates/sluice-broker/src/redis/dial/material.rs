//! What connections are made with and where it comes from: texts of the configuration, and files. A fault names the
//! key of the configuration that names the file.

use std::path::{Path, PathBuf};

use redis::{Client, ClientTlsConfig, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::redis::settings::{RedisLogin, RedisTls};
use crate::url::RedisPlace;

/// A file of this kind is not larger than this. Bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

const CA_FILE: &str = "redis.tls.ca_file";
const CERT_FILE: &str = "redis.tls.cert_file";
const KEY_FILE: &str = "redis.tls.key_file";

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFault {
    /// The key of the configuration.
    pub key: &'static str,
    /// The file that the key names, where the fault is in a file.
    pub file: Option<PathBuf>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl SettingsFault {
    pub(crate) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, file: None, problem: problem.into() }
    }

    fn of_file(key: &'static str, file: &Path, problem: impl Into<String>) -> Self {
        Self { key, file: Some(file.to_owned()), problem: problem.into() }
    }

    /// All of `faults` in one text.
    pub(crate) fn all(faults: &[Self]) -> String {
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        texts.join("; ")
    }
}

impl std::fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{} = {}: {}", self.key, file.display(), self.problem),
            None => write!(f, "{}: {}", self.key, self.problem),
        }
    }
}

/// Where the credentials and certificates of one kind of server come from.
#[derive(Debug)]
pub(super) struct Sources {
    login: RedisLogin,
    username_key: &'static str,
    password_key: &'static str,
    /// `None` without TLS.
    tls: Option<RedisTls>,
}

/// What was read. Has no `Debug`: it holds the password and the private key.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Material {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Sources {
    pub(super) fn of_servers(login: RedisLogin, place: &RedisPlace, tls: &RedisTls) -> Self {
        let (username_key, password_key) = ("redis.username_file", "redis.password_file");
        Self { login, username_key, password_key, tls: place.tls.then(|| tls.clone()) }
    }

    pub(super) fn of_sentinels(login: RedisLogin, place: &RedisPlace, tls: &RedisTls) -> Self {
        let (username_key, password_key) = ("redis.sentinel.username_file", "redis.sentinel.password_file");
        Self { login, username_key, password_key, tls: place.tls.then(|| tls.clone()) }
    }

    /// Reads every file. All faults at once.
    pub(super) fn read(&self) -> Result<Material, Vec<SettingsFault>> {
        let mut faults = Vec::new();
        let mut text = |key, file: &Option<PathBuf>, given: &Option<String>| match file {
            Some(file) => keep(secret(key, file), &mut faults),
            None => given.clone(),
        };
        let username = text(self.username_key, &self.login.username_file, &self.login.username);
        let password = text(self.password_key, &self.login.password_file, &self.login.password);
        let mut material = Material { username, password, ..Material::default() };
        if let Some(tls) = &self.tls {
            material.ca =
                tls.ca_file.as_deref().and_then(|file| keep(certificates(CA_FILE, file), &mut faults));
            match (tls.cert_file.as_deref(), tls.key_file.as_deref()) {
                (None, None) => {}
                (Some(cert), Some(key)) => {
                    material.cert = keep(certificates(CERT_FILE, cert), &mut faults);
                    material.key = keep(private_key(KEY_FILE, key), &mut faults);
                }
                (Some(_), None) => {
                    faults
                        .push(SettingsFault::new(KEY_FILE, "must be set: redis.tls.cert_file needs its key"));
                }
                (None, Some(_)) => {
                    faults.push(SettingsFault::new(
                        CERT_FILE,
                        "must be set: redis.tls.key_file needs its certificate",
                    ));
                }
            }
        }
        if faults.is_empty() { Ok(material) } else { Err(faults) }
    }

    /// A connection's transport. Its address stands for any.
    pub(super) fn transport(&self, material: &Material) -> Result<ConnectionInfo, Vec<SettingsFault>> {
        let fault = |key, problem: String| vec![SettingsFault::new(key, problem)];
        if self.tls.is_none() {
            let plain = "redis://localhost".into_connection_info();
            return plain.map_err(|error| fault("redis.url", error.to_string()));
        }
        let client_tls = match (&material.cert, &material.key) {
            (Some(client_cert), Some(client_key)) => {
                belong_together(client_cert, client_key).map_err(|problem| fault(KEY_FILE, problem))?;
                Some(ClientTlsConfig { client_cert: client_cert.clone(), client_key: client_key.clone() })
            }
            _ => None,
        };
        let certificates = TlsCertificates { client_tls, root_cert: material.ca.clone() };
        let client = Client::build_with_tls("rediss://localhost", certificates);
        // Everything else was read before.
        let client = client
            .map_err(|_| fault(CA_FILE, "holds a certificate that no authority can have".to_owned()))?;
        Ok(client.get_connection_info().clone())
    }
}

fn keep<T>(read: Result<T, SettingsFault>, faults: &mut Vec<SettingsFault>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

/// The text of a file without the line end that editors leave there.
fn secret(key: &'static str, file: &Path) -> Result<String, SettingsFault> {
    let text = String::from_utf8(contents(key, file)?);
    let text = text.map_err(|_| SettingsFault::of_file(key, file, "is not UTF-8 text"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(SettingsFault::of_file(key, file, "is empty")),
        text => Ok(text.to_owned()),
    }
}

/// The bytes of a file that holds at least one certificate.
fn certificates(key: &'static str, file: &Path) -> Result<Vec<u8>, SettingsFault> {
    let pem = contents(key, file)?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate
            .map_err(|error| SettingsFault::of_file(key, file, format!("is not valid PEM: {error}")))?;
        found += 1;
    }
    if found == 0 {
        return Err(SettingsFault::of_file(key, file, "holds no certificate in PEM form"));
    }
    Ok(pem)
}

/// The bytes of a file that holds a private key.
fn private_key(key: &'static str, file: &Path) -> Result<Vec<u8>, SettingsFault> {
    let pem = contents(key, file)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(SettingsFault::of_file(key, file, "holds no private key in PEM form")),
    }
}

fn belong_together(cert: &[u8], key: &[u8]) -> Result<(), String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert).filter_map(Result::ok).collect();
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| "holds no private key in PEM form".to_owned())?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err("is not the key of the certificate in redis.tls.cert_file".to_owned())
        }
        Err(error) => Err(format!("cannot be used with redis.tls.cert_file: {error}")),
    }
}

fn contents(key: &'static str, file: &Path) -> Result<Vec<u8>, SettingsFault> {
    let fault = |error: std::io::Error| SettingsFault::of_file(key, file, unreadable(&error));
    if std::fs::metadata(file).map_err(fault)?.len() > FILE_BYTES_MAX {
        return Err(SettingsFault::of_file(key, file, "is larger than a megabyte"));
    }
    std::fs::read(file).map_err(fault)
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this process may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory, not a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
