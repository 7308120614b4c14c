//! Values that must not be seen: every `Debug` and `Display` here is masked, and the text itself is reached
//! only by a call named `expose`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What stands for anything hidden.
pub(super) const MASK: &str = "***";

const MEMORY: &str = "memory://";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that must hand it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // That there is none is worth seeing.
        f.write_str(if self.0.is_empty() { "" } else { MASK })
    }
}

/// Where the broker is: `memory://`, `redis://[user:password@]host[:port][/database]`,
/// `redis+sentinel://[..@]host,host/<master name>` or `redis+cluster://[..@]host,host`; `rediss..` for TLS,
/// `valkey` for `redis` as one likes.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    full: Secret,
    masked: String,
}

/// Why a text is not a [`RedisUrl`]. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// Nothing is written.
    #[error("is empty; set it to redis://host:6379")]
    Empty,
    /// No `scheme://` that a broker answers to.
    #[error(
        "must be redis://[user:password@]host[:port][/database], redis+sentinel://host,host/<master name>, \
         redis+cluster://host,host (rediss.. for TLS), or memory://"
    )]
    Scheme,
    /// Characters that end the authority stand before its last `@`.
    #[error("'/', '?' and '#' in a user or password must be percent-encoded (%2F, %3F, %23)")]
    Unencoded,
    /// The URL names no host.
    #[error("the host is missing; set it to redis://host:6379")]
    Host,
    /// Behind the host stands no port.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// Several hosts, and a scheme of one.
    #[error("several hosts are a cluster (redis+cluster://) or sentinels (redis+sentinel://)")]
    SeveralHosts,
    /// Sentinels watch over several masters.
    #[error("the name of the master is missing: redis+sentinel://host,host/<master name>")]
    Master,
    /// Spaces or control characters.
    #[error("must not hold spaces or control characters; percent-encode them")]
    Space,
    /// Something follows `memory://`.
    #[error("memory:// takes nothing behind it")]
    Memory,
}

impl RedisUrl {
    /// The embedded broker.
    #[must_use]
    pub fn memory() -> Self {
        Self::open(MEMORY)
    }

    /// A Redis on this machine, on its usual port.
    #[must_use]
    pub fn local() -> Self {
        Self::open("redis://127.0.0.1:6379")
    }

    /// A URL that holds nothing to hide.
    fn open(text: &str) -> Self {
        Self { full: Secret::new(text.to_owned()), masked: text.to_owned() }
    }

    /// Checks `text` as far as it can be checked without connecting.
    ///
    /// # Errors
    /// See [`RedisUrlError`]; none of them repeats any part of `text`.
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        if text.is_empty() {
            return Err(RedisUrlError::Empty);
        }
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let masked = match scheme {
            "memory" if rest.is_empty() => text.to_owned(),
            "memory" => return Err(RedisUrlError::Memory),
            _ => format!("{scheme}://{}", masked_rest(form(scheme)?, rest)?),
        };
        Ok(Self { full: Secret::new(text.to_owned()), masked })
    }

    /// The whole URL with its password, for the connection.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.full.expose()
    }

    /// Whether this is the embedded broker.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.masked == MEMORY
    }
}

/// A text that is no [`RedisUrl`], as it may be shown: without what is or may be a login. What stands before the last
/// `@` is one; where there is none, a password may stand in the place of a port.
pub(super) fn masked_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return MASK.to_owned() };
    let plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    if !plain(scheme, "+") {
        return MASK.to_owned();
    }
    let (login, place) = match rest.rsplit_once('@') {
        Some((_, place)) => ("***@", place),
        None => ("", rest),
    };
    let is_port = |text: &str| text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (authority, _) = place.split_once('/').unwrap_or((place, ""));
    let ports_are_ports = authority.split(',').all(|host| {
        let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
        after.split_once(':').is_none_or(|(_, port)| is_port(port))
    });
    if plain(place, "._:,[]/%-") && (ports_are_ports || !login.is_empty()) {
        format!("{scheme}://{login}{place}")
    } else {
        format!("{scheme}://{MASK}")
    }
}

/// What a scheme leads to, as far as the text behind it differs.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    One,
    Sentinels,
    Cluster,
}

fn form(scheme: &str) -> Result<Form, RedisUrlError> {
    let (protocol, form) = match scheme.split_once('+') {
        None => (scheme, Form::One),
        Some((protocol, "sentinel")) => (protocol, Form::Sentinels),
        Some((protocol, "cluster")) => (protocol, Form::Cluster),
        Some(_) => return Err(RedisUrlError::Scheme),
    };
    match protocol {
        "redis" | "rediss" | "valkey" | "valkeys" => Ok(form),
        _ => Err(RedisUrlError::Scheme),
    }
}

/// Checks what follows the scheme and hides its password and its query values.
fn masked_rest(form: Form, rest: &str) -> Result<String, RedisUrlError> {
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(RedisUrlError::Space);
    }
    // The last '@' of the whole, not of the authority: a password with a bare '/' must be refused, not
    // taken for a host and printed.
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    if login.is_some_and(|login| login.contains(['/', '?', '#'])) {
        return Err(RedisUrlError::Unencoded);
    }
    let end = place.find(['/', '?', '#']).unwrap_or(place.len());
    let (authority, tail) = place.split_at(end);
    let several = authority.contains(',');
    if several && form == Form::One {
        return Err(RedisUrlError::SeveralHosts);
    }
    authority.split(',').try_for_each(check_authority)?;
    let master = tail.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    if form == Form::Sentinels && master.is_empty() {
        return Err(RedisUrlError::Master);
    }
    let path_end = tail.find(['?', '#']).unwrap_or(tail.len());
    let (path, query) = tail.split_at(path_end);
    let login = login.map_or(String::new(), |login| match login.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@"),
        None => format!("{MASK}@"),
    });
    let query = query.chars().next().map_or(String::new(), |mark| format!("{mark}{MASK}"));
    Ok(format!("{login}{authority}{path}{query}"))
}

fn check_authority(authority: &str) -> Result<(), RedisUrlError> {
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, after)) => {
            (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("") }))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(RedisUrlError::Host);
    }
    match port.map(u16::from_str) {
        Some(Ok(0) | Err(_)) => Err(RedisUrlError::Port),
        Some(Ok(_)) | None => Ok(()),
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.masked, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_what_is_secret_and_keeps_what_helps() {
        for (text, shown) in [
            ("memory://", "memory://"),
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://cache.example/2", "rediss://cache.example/2"),
            ("redis://:hunter2@[::1]:7000", "redis://:***@[::1]:7000"),
            ("redis://app:hunter2@h:1/0", "redis://app:***@h:1/0"),
            ("redis://app:hun@ter2@h", "redis://app:***@h"),
            ("redis://hunter2@h", "redis://***@h"),
            ("redis://h/0?password=hunter2", "redis://h/0?***"),
            ("rediss+cluster://app:hunter2@h:1,[::1]:2", "rediss+cluster://app:***@h:1,[::1]:2"),
            ("redis+sentinel://:hunter2@h,i:1/main/2", "redis+sentinel://:***@h,i:1/main/2"),
            ("valkeys://h", "valkeys://h"),
        ] {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
            assert_eq!(url.expose(), text);
        }
        assert!(RedisUrl::parse("memory://").unwrap().is_memory());
        assert_eq!(format!("{:?} {0}", Secret::new("hunter2".into())), "*** ***");
    }

    #[test]
    fn refuses_what_could_not_connect() {
        for (text, error) in [
            ("", RedisUrlError::Empty),
            ("127.0.0.1:6379", RedisUrlError::Scheme),
            ("http://h", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::Host),
            ("redis://:6379", RedisUrlError::Host),
            ("redis://h:0", RedisUrlError::Port),
            ("redis://h:port", RedisUrlError::Port),
            ("redis://[::1]6379", RedisUrlError::Port),
            ("redis://:a/b@h", RedisUrlError::Unencoded),
            ("redis://:a b@h", RedisUrlError::Space),
            ("memory://x", RedisUrlError::Memory),
            ("redis://h,i", RedisUrlError::SeveralHosts),
            ("redis+cluster://h,i:x", RedisUrlError::Port),
            ("redis+cluster://h,", RedisUrlError::Host),
            ("redis+sentinel://h", RedisUrlError::Master),
            ("redis+sentinel://h/?x", RedisUrlError::Master),
            ("redis+unix://h", RedisUrlError::Scheme),
        ] {
            assert_eq!(RedisUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown_without_its_login() {
        for (text, shown) in [
            ("redis://", "redis://"),
            ("http://h:6379/0", "http://h:6379/0"),
            ("redis://u:hunter2@", "redis://***@"),
            ("redis://u:hunter2@h:port", "redis://***@h:port"),
            ("redis://u:hunter/2@h:0", "redis://***@h:0"),
            ("redis://:hunter2", "redis://***"),
            ("redis://h,i", "redis://h,i"),
            ("redis://[::1]:0", "redis://[::1]:0"),
            ("redis://h?password=hunter2", "redis://***"),
            ("hunter2", "***"),
        ] {
            assert_eq!(masked_url(text), shown, "{text}");
        }
    }
}
