//! `[redis]`: where the broker is and how patiently it is spoken to.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Role;
use super::secret::{RedisUrl, Secret, masked_url};
use super::section::Section;

/// The broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// `redis.url`: redis://127.0.0.1:6379; memory:// in `dev`.
    pub url: RedisUrl,
    /// `redis.username`, `redis.password` and their `_file`s: as in `redis.url`.
    pub login: RedisLogin,
    /// `redis.sentinel.username`, `redis.sentinel.password` and their `_file`s: none. Who sentinels let in.
    pub sentinel_login: RedisLogin,
    /// `redis.tls.ca_file`: the system's authorities. A PEM file, as the two below.
    pub tls_ca_file: Option<PathBuf>,
    /// `redis.tls.cert_file`: none. The certificate to show to the servers, its chain behind it.
    pub tls_cert_file: Option<PathBuf>,
    /// `redis.tls.key_file`: none. The key of the certificate.
    pub tls_key_file: Option<PathBuf>,
    /// `redis.prefix`: "sluice". The first part of every key and channel.
    pub prefix: String,
    /// `redis.pool_size`: 16 connections for commands; subscriptions have their own.
    pub pool_size: usize,
    /// `redis.connect_timeout_ms`: 2,000.
    pub connect_timeout: Duration,
    /// `redis.response_timeout_ms`: 5,000.
    pub response_timeout: Duration,
    /// `redis.read_from`: "primary". Which server answers replays.
    pub read_from: ReadFrom,
    /// `redis.probe_interval_ms`: 1,000. How often a node publishes to its own probe channel.
    pub probe_interval: Duration,
    /// `redis.probe_deadline_ms`: 5,000. Silence after which a subscription is taken for dead.
    pub probe_deadline: Duration,
}

/// An ACL user and its password: texts, or files that hold them and are read again for each new connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisLogin {
    /// `username`
    pub username: Option<String>,
    /// `password`
    pub password: Option<Secret>,
    /// `username_file`
    pub username_file: Option<PathBuf>,
    /// `password_file`
    pub password_file: Option<PathBuf>,
}

impl RedisLogin {
    /// Reads the keys that begin with `prefix`.
    fn read(section: &mut Section<'_>, prefix: &str) -> Self {
        let login = Self {
            username: optional_text(section, &format!("{prefix}username")),
            password: optional_secret(section, &format!("{prefix}password")),
            username_file: optional_file(section, &format!("{prefix}username_file")),
            password_file: optional_file(section, &format!("{prefix}password_file")),
        };
        let twice = [
            ("username", login.username.is_some() && login.username_file.is_some()),
            ("password", login.password.is_some() && login.password_file.is_some()),
        ];
        for (name, _) in twice.iter().filter(|(_, twice)| *twice) {
            let problem = format!("must be empty where redis.{prefix}{name} is set: give one of the two");
            section.refuse(&format!("{prefix}{name}_file"), &problem);
        }
        login
    }
}

/// Which server answers replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The server that takes the writes.
    Primary,
}

impl Redis {
    pub(super) fn default_for(role: Role) -> Self {
        let url = if role == Role::Dev { RedisUrl::memory() } else { RedisUrl::local() };
        Self {
            url,
            login: RedisLogin::default(),
            sentinel_login: RedisLogin::default(),
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            prefix: "sluice".to_owned(),
            pool_size: 16,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            read_from: ReadFrom::Primary,
            probe_interval: Duration::from_secs(1),
            probe_deadline: Duration::from_secs(5),
        }
    }

    pub(super) fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let url = "must be redis://[user:password@]host[:port][/database], redis+sentinel://host,host/<master \
                   name>, redis+cluster://host,host (rediss.. for TLS), or memory://";
        let prefix = "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -";
        Self {
            url: section.masked("url", default.url.clone(), url, masked_url),
            login: RedisLogin::read(section, ""),
            sentinel_login: RedisLogin::read(section, "sentinel."),
            tls_ca_file: optional_file(section, "tls.ca_file"),
            tls_cert_file: optional_file(section, "tls.cert_file"),
            tls_key_file: optional_file(section, "tls.key_file"),
            prefix: section.text("prefix", default.prefix.clone(), prefix, check_prefix),
            pool_size: section.integer("pool_size", default.pool_size, 1..=1_024),
            connect_timeout: section.millis("connect_timeout_ms", default.connect_timeout, 10..=60_000),
            response_timeout: section.millis("response_timeout_ms", default.response_timeout, 100..=60_000),
            read_from: section.parsed("read_from", default.read_from, "must be \"primary\""),
            probe_interval: section.millis("probe_interval_ms", default.probe_interval, 100..=60_000),
            probe_deadline: section.millis("probe_deadline_ms", default.probe_deadline, 200..=300_000),
        }
    }
}

/// An empty text is none.
fn optional_text(section: &mut Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key, String::new(), "must be a text", |_| Ok(()));
    (!text.is_empty()).then_some(text)
}

fn optional_file(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    let text = section.text(key, String::new(), "must be the path of a file", |_| Ok(()));
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn optional_secret(section: &mut Section<'_>, key: &str) -> Option<Secret> {
    let secret = section.secret(key, Secret::new(String::new()), "must be a text");
    (!secret.expose().is_empty()).then_some(secret)
}

fn check_prefix(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(allowed) { Ok(()) } else { Err(String::new()) }
}

impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("primary")
    }
}

impl FromStr for ReadFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "primary" => Ok(Self::Primary),
            "replica" => Err("reading from replicas is not built yet".to_owned()),
            _ => Err(String::new()),
        }
    }
}
