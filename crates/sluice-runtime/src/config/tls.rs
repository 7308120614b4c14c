//! `[tls]`: the certificate of the public listeners.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::section::Section;

/// TLS at the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `tls.cert_file`: none. The certificate and those that signed it, in PEM; without one, plain text.
    pub cert_file: Option<PathBuf>,
    /// `tls.key_file`: its key.
    pub key_file: Option<PathBuf>,
    /// `tls.client_ca_file`: none. Authorities of the certificates that clients must show.
    pub client_ca_file: Option<PathBuf>,
    /// `tls.reload_interval_ms`: 10,000. How often the files are looked at.
    pub reload_interval: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            reload_interval: Duration::from_secs(10),
        }
    }
}

impl Tls {
    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        Self {
            cert_file: file(section, "cert_file"),
            key_file: file(section, "key_file"),
            client_ca_file: file(section, "client_ca_file"),
            reload_interval: section.millis("reload_interval_ms", default.reload_interval, 100..=3_600_000),
        }
    }

    /// Rules between the keys.
    pub(super) fn check(&self, reader: &mut Reader) {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => reader.refuse("tls.key_file", "must be set: tls.cert_file needs its key"),
            (None, Some(_)) => {
                reader.refuse("tls.cert_file", "must be set: tls.key_file needs its certificate");
            }
            (None, None) if self.client_ca_file.is_some() => {
                reader.refuse("tls.client_ca_file", "needs tls.cert_file and tls.key_file");
            }
            _ => {}
        }
    }
}

/// An empty text is none.
fn file(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    let text = section.text(key, String::new(), "must be the path of a PEM file", |_| Ok(()));
    (!text.is_empty()).then(|| PathBuf::from(text))
}
