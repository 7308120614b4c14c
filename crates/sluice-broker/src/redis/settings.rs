//! How Redis is spoken to: what stands beside the address. Secrets are masked here, whoever prints them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How Redis is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// First part of every key and channel: 1 to 64 printable characters without spaces and braces.
    pub prefix: String,
    /// Who to log in as; what is left out is as in the address.
    pub login: RedisLogin,
    /// Who to log in to sentinels as.
    pub sentinel_login: RedisLogin,
    /// Certificates, where the address says TLS.
    pub tls: RedisTls,
    /// Connections for commands to each server. Each carries many commands at once.
    pub pool_size: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take, with everything that is done to get one: a request that met a server
    /// which is not, or no longer, in charge is sent anew within this time.
    pub response_timeout: Duration,
    /// How often the subscriber's connections are probed.
    pub probe_interval: Duration,
    /// How long a probe may take before its connection is given up.
    pub probe_deadline: Duration,
}

/// A user and a password, each perhaps not given. A file goes before a text, and is read again for each new
/// connection.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RedisLogin {
    /// The ACL user.
    pub username: Option<String>,
    /// The password; `Debug` masks it.
    pub password: Option<String>,
    /// A file that holds the user.
    pub username_file: Option<PathBuf>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

/// PEM files, read again for each new connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisTls {
    /// The authorities to trust; the system's where there is none.
    pub ca_file: Option<PathBuf>,
    /// The certificate to show, its chain behind it.
    pub cert_file: Option<PathBuf>,
    /// The key of the certificate.
    pub key_file: Option<PathBuf>,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            prefix: "sluice".to_owned(),
            login: RedisLogin::default(),
            sentinel_login: RedisLogin::default(),
            tls: RedisTls::default(),
            pool_size: 4,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            probe_interval: Duration::from_secs(2),
            probe_deadline: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "***");
        f.debug_struct("RedisLogin")
            .field("username", &self.username)
            .field("password", &password)
            .field("username_file", &self.username_file)
            .field("password_file", &self.password_file)
            .finish()
    }
}
