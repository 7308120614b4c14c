//! What a redis-server is started with, as a builder and as the lines of its redis.conf.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use super::{LOG, RedisServer, SOCKET};
use crate::certificates::{Certificates, SharedCertificates};
use crate::ports::free_address;
use crate::redis_cli::RedisCli;

const ATTEMPTS: u32 = 5;
/// Who the kit itself is where a server has ACL users: the default user is off then.
const KIT: AclUser<'static> = AclUser { name: "testkit", password: "testkit", rules: "~* &* +@all" };

/// What a [`RedisServer`] is started with.
#[derive(Debug, Clone, Default)]
pub struct RedisServerBuilder {
    directives: Vec<(String, String)>,
    appendonly: bool,
    password: Option<String>,
    /// Name, password, rules.
    users: Vec<(String, String, String)>,
    tls: Option<ClientCertificates>,
    /// Those of a set; one server makes its own.
    certificates: Option<Arc<SharedCertificates>>,
    sentinel: bool,
    cluster: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientCertificates {
    Demanded,
    Unwanted,
}

#[derive(Clone, Copy)]
struct AclUser<'a> {
    name: &'a str,
    password: &'a str,
    rules: &'a str,
}

impl RedisServerBuilder {
    /// Adds a line of redis.conf, such as `("client-output-buffer-limit", "pubsub 1mb 1mb 0")`. Later lines win.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps an append-only file: what was acknowledged survives [`RedisServer::kill`] and a restart.
    #[must_use]
    pub fn appendonly(mut self, appendonly: bool) -> Self {
        self.appendonly = appendonly;
        self
    }

    /// Asks clients for `password`; [`RedisServer::url`] and [`RedisServer::cli`] carry it.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds an ACL user with `rules` such as `~sluice:* &sluice:* +@all`, and switches the default user off.
    ///
    /// [`RedisServer::url`] carries the last user added; [`RedisServer::cli`] may do everything.
    #[must_use]
    pub fn acl_user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned(), rules.to_owned()));
        self
    }

    /// Listens by TLS alone, with certificates of its own authority, and demands a client's certificate.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = Some(ClientCertificates::Demanded);
        self
    }

    /// As [`RedisServerBuilder::tls`], but any client may connect.
    #[must_use]
    pub fn tls_without_client_certificates(mut self) -> Self {
        self.tls = Some(ClientCertificates::Unwanted);
        self
    }

    /// As [`RedisServerBuilder::tls`], for servers that dial each other by TLS too: one authority for all that are made
    /// of this.
    pub(crate) fn tls_among_servers(mut self) -> Result<Self> {
        self.certificates = Some(Arc::new(SharedCertificates::create()?));
        Ok(self.tls().arg("tls-replication", "yes"))
    }

    /// Takes TLS over from `other`.
    pub(crate) fn tls_of(mut self, other: &Self) -> Self {
        (self.tls, self.certificates) = (other.tls, other.certificates.clone());
        if self.certificates.is_some() { self.arg("tls-replication", "yes") } else { self }
    }

    /// Runs as a sentinel.
    pub(crate) fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// Runs as a node of a cluster, with a free bus port of its own.
    pub(crate) fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// Puts these lines ahead of the own ones, which win.
    pub(crate) fn behind(mut self, first: &[(&str, &str)]) -> Self {
        let first = first.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.directives.splice(0..0, first);
        self
    }

    pub(crate) fn is_by_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn is_sentinel(&self) -> bool {
        self.sentinel
    }

    /// Starts the server and waits until it answers PING.
    pub async fn start(self) -> Result<RedisServer> {
        let mut refusal = None;
        for _ in 0..ATTEMPTS {
            let bus = if self.cluster { Some(free_address()?) } else { None };
            let mut server = RedisServer::new(self.clone(), free_address()?, bus)?;
            match server.launch().await {
                Ok(()) => return Ok(server),
                // Another process bound the port between our look and the server's bind.
                Err(error) if server.log().contains("Address already in use") => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| anyhow!("redis-server found no port in {ATTEMPTS} attempts")))
    }

    pub(super) fn url_through(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        match (self.users.last(), &self.password) {
            (Some((name, password, _)), _) => format!("{scheme}://{name}:{password}@{address}"),
            (None, Some(password)) => format!("{scheme}://:{password}@{address}"),
            (None, None) => format!("{scheme}://{address}"),
        }
    }

    pub(super) fn cli(&self, address: SocketAddr, directory: &Path) -> RedisCli {
        let mut cli = RedisCli::new(address);
        if self.tls.is_some() {
            cli = cli.tls(self.certificates(directory));
        }
        match &self.password {
            _ if !self.users.is_empty() => cli.user(KIT.name).password(KIT.password),
            Some(password) => cli.password(password),
            None => cli,
        }
    }

    /// The inline command that makes the kit somebody who may do everything; empty where nobody is asked.
    pub(super) fn greeting(&self) -> String {
        match &self.password {
            _ if !self.users.is_empty() => format!("AUTH {} {}\r\n", KIT.name, KIT.password),
            Some(password) => format!("AUTH {password}\r\n"),
            None => String::new(),
        }
    }

    /// Whether it needs certificates of its own.
    pub(super) fn wants_certificates(&self) -> bool {
        self.tls.is_some() && self.certificates.is_none()
    }

    /// Those of a server in `directory`.
    pub(crate) fn certificates(&self, directory: &Path) -> Certificates {
        let shared = self.certificates.as_ref().map(|shared| shared.certificates.clone());
        shared.unwrap_or_else(|| Certificates::in_directory(directory))
    }

    pub(super) fn configuration(
        &self,
        address: SocketAddr,
        bus: Option<SocketAddr>,
        directory: &Path,
    ) -> String {
        let (ip, port) = (address.ip(), address.port());
        let folder = directory.display();
        let mut lines = format!(
            "bind {ip}\ndir {folder}\nunixsocket {folder}/{SOCKET}\nlogfile {LOG}\nloglevel notice\ndaemonize no\n"
        );
        match self.tls {
            None => push(&mut lines, "port", &port.to_string()),
            Some(clients) => {
                let files = self.certificates(directory);
                push(&mut lines, "port", "0");
                push(&mut lines, "tls-port", &port.to_string());
                push(&mut lines, "tls-ca-cert-file", &files.ca_file().display().to_string());
                push(&mut lines, "tls-cert-file", &files.server_cert_file().display().to_string());
                push(&mut lines, "tls-key-file", &files.server_key_file().display().to_string());
                let demanded = clients == ClientCertificates::Demanded;
                push(&mut lines, "tls-auth-clients", if demanded { "yes" } else { "no" });
            }
        }
        if !self.sentinel {
            push(&mut lines, "save", "\"\"");
        }
        if let Some(bus) = bus {
            push(&mut lines, "cluster-enabled", "yes");
            push(&mut lines, "cluster-port", &bus.port().to_string());
        }
        if self.appendonly {
            push(&mut lines, "appendonly", "yes");
        }
        if let Some(password) = &self.password {
            push(&mut lines, "requirepass", password);
        }
        if !self.users.is_empty() {
            // Off, but not without rights: Redis 7 replays an append-only file as this user, and leaves
            // out every transaction that it may not do.
            push(&mut lines, "user", "default off resetpass ~* &* +@all");
            push_user(&mut lines, KIT);
        }
        for (name, password, rules) in &self.users {
            push_user(&mut lines, AclUser { name, password, rules });
        }
        for (name, value) in &self.directives {
            push(&mut lines, name, value);
        }
        lines
    }
}

fn push(lines: &mut String, name: &str, value: &str) {
    let _ = writeln!(lines, "{name} {value}");
}

fn push_user(lines: &mut String, user: AclUser<'_>) {
    let _ = writeln!(lines, "user {} on >{} {}", user.name, user.password, user.rules);
}
