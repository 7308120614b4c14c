//! What a broker's address says, taken apart. Pure; what it refuses it names without repeating it.

use std::fmt;

use redis::IntoConnectionInfo;

/// A server's host and port.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Where events are kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Redis(Redis),
}

/// One or several Redis servers.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Redis {
    pub(crate) tls: bool,
    pub(crate) form: Form,
    /// The server, the sentinels, or some nodes of the cluster; at least one.
    pub(crate) hosts: Vec<Address>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
}

/// How the servers hang together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Standalone,
    /// Sentinels, which know the primary by this name.
    Sentinel {
        master: String,
    },
    Cluster,
}

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl Redis {
    /// What stands behind `://`, for a scheme that has named `form` (whose name of the master is read here).
    pub(super) fn parse(tls: bool, form: Form, rest: &str) -> Result<Self, String> {
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        if place.contains(['?', '#']) {
            return Err("nothing may stand behind '?' or '#'".to_owned());
        }
        let (username, password) = login.map_or(Ok((None, None)), credentials)?;
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let port = if matches!(form, Form::Sentinel { .. }) { SENTINEL_PORT } else { REDIS_PORT };
        let hosts = authority.split(',').map(|text| address(text, port)).collect::<Result<Vec<_>, _>>()?;
        let path = path.trim_end_matches('/');
        let (form, database) = match form {
            Form::Standalone if hosts.len() > 1 => {
                return Err("several hosts are a cluster (redis+cluster://a,b) or sentinels \
                     (redis+sentinel://a,b/<master name>)"
                    .to_owned());
            }
            Form::Standalone => (form, database(path)?),
            Form::Cluster if database(path)? != 0 => {
                return Err("a cluster has no database but 0".to_owned());
            }
            Form::Cluster => (form, 0),
            Form::Sentinel { .. } => {
                let (master, number) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(
                        "the name of the master is missing, redis+sentinel://host/<master name>".to_owned()
                    );
                }
                (Form::Sentinel { master: master.to_owned() }, database(number)?)
            }
        };
        Ok(Self { tls, form, hosts, username, password, database })
    }
}

/// User and password, percent-decoded.
fn credentials(login: &str) -> Result<(Option<String>, Option<String>), String> {
    // Bare, these would end the address in another reader's eyes, and the rest be printed.
    if login.contains(['/', '?', '#']) {
        return Err("'/', '?' and '#' in a user or password must be percent-encoded".to_owned());
    }
    let info = format!("redis://{login}@localhost").into_connection_info();
    let info = info.map_err(|_| "user and password cannot be read".to_owned())?;
    let redis = info.redis_settings();
    Ok((redis.username().map(str::to_owned), redis.password().map(str::to_owned)))
}

/// A host, perhaps with its port.
fn address(text: &str, port: u16) -> Result<Address, String> {
    let (host, after) = match text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => (host, Some(after.strip_prefix(':').unwrap_or_default())),
        None => text.split_once(':').map_or((text, None), |(host, after)| (host, Some(after))),
    };
    if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:%".contains(&b)) {
        return Err("a host is missing or is no host name".to_owned());
    }
    let port = match after.map(str::parse) {
        None => port,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return Err("a port is no number from 1 to 65535".to_owned()),
    };
    Ok(Address { host: host.to_owned(), port })
}

fn database(text: &str) -> Result<i64, String> {
    match text {
        "" => Ok(0),
        text => {
            let number = text.parse().ok().filter(|number| *number >= 0);
            number.ok_or_else(|| "the database is no number".to_owned())
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
