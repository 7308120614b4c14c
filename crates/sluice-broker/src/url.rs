//! The address of a broker. It may hold a password, so nothing of this type prints one.

mod place;

use std::fmt;
use std::str::FromStr;

pub(crate) use self::place::{Address, Form, Place, Redis as RedisPlace};

/// Where events are kept:
///
/// - `memory://`: in this process.
/// - `redis://[[user]:password@]host[:port][/db]`: one Redis; `rediss://` by TLS.
/// - `redis+sentinel://[..@]sentinel[:26379],..../<master name>[/db]`: the primary that sentinels name;
///   `rediss+sentinel://` by TLS, the sentinels too.
/// - `redis+cluster://[..@]node[:port],...`: a cluster; `rediss+cluster://` by TLS.
///
/// `valkey` may stand for `redis`. `Debug` and `Display` mask the password.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// With the password masked.
    shown: String,
    place: Place,
}

/// Why a text is not a broker's address. Repeats nothing of it but the scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// There is no `://`.
    #[error(
        "a broker's address is memory://, redis://[user:password@]host[:port][/db], \
         redis+sentinel://host,host/<master name> or redis+cluster://host,host"
    )]
    NoScheme,
    /// Some other scheme.
    #[error(
        "unknown scheme {0}://; use memory://, redis://, redis+sentinel:// or redis+cluster:// \
         (rediss.. for TLS)"
    )]
    Unknown(String),
    /// The rest is not an address.
    #[error("the address behind {scheme}:// cannot be used: {why}")]
    Broken {
        /// The scheme.
        scheme: String,
        /// What is wrong.
        why: String,
    },
}

impl BrokerUrl {
    /// The embedded broker of this process.
    #[must_use]
    pub fn memory() -> Self {
        Self { shown: "memory://".to_owned(), place: Place::Memory }
    }

    /// Whether this is the embedded broker.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.place == Place::Memory
    }

    /// What the address says, with its password, for opening connections only.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(BrokerUrlError::NoScheme)?;
        let broken = |why: String| BrokerUrlError::Broken { scheme: scheme.to_owned(), why };
        if scheme == "memory" {
            return if rest.is_empty() {
                Ok(Self::memory())
            } else {
                Err(broken("nothing may stand behind it".to_owned()))
            };
        }
        let (tls, form) =
            form(scheme).ok_or_else(|| BrokerUrlError::Unknown(scheme.chars().take(20).collect()))?;
        let redis = RedisPlace::parse(tls, form, rest).map_err(broken)?;
        Ok(Self { shown: format!("{scheme}://{}", masked(rest)), place: Place::Redis(redis) })
    }
}

/// Whether by TLS, and the form, of a Redis's scheme.
fn form(scheme: &str) -> Option<(bool, Form)> {
    let (protocol, form) = match scheme.split_once('+') {
        None => (scheme, Form::Standalone),
        Some((protocol, "sentinel")) => (protocol, Form::Sentinel { master: String::new() }),
        Some((protocol, "cluster")) => (protocol, Form::Cluster),
        Some(_) => return None,
    };
    match protocol {
        "redis" | "valkey" => Some((false, form)),
        "rediss" | "valkeys" => Some((true, form)),
        _ => None,
    }
}

/// What stands behind the scheme, of an address that was found good.
fn masked(rest: &str) -> String {
    match rest.rsplit_once('@') {
        Some((login, place)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{place}"),
            // A user alone, or a password that lacks its colon.
            None => format!("***@{place}"),
        },
        None => rest.to_owned(),
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(text: &str) -> RedisPlace {
        match text.parse::<BrokerUrl>().unwrap().place {
            Place::Redis(redis) => redis,
            Place::Memory => panic!("{text}"),
        }
    }

    fn hosts(text: &str) -> Vec<String> {
        redis(text).hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_one_redis() {
        assert!("memory://".parse::<BrokerUrl>().unwrap().is_memory());
        let one = redis("redis://u:p%40@redis.example:6380/2");
        assert_eq!((one.tls, one.form, one.database), (false, Form::Standalone, 2));
        assert_eq!((one.username.as_deref(), one.password.as_deref()), (Some("u"), Some("p@")));
        assert_eq!(hosts("redis://127.0.0.1"), ["127.0.0.1:6379"]);
        assert_eq!(hosts("valkeys://[::1]:1/"), ["[::1]:1"]);
        assert!(redis("rediss://h").tls && redis("valkeys://h").tls && !redis("valkey://h").tls);
        let only = redis("redis://:secret@h");
        assert_eq!((only.username, only.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn reads_sentinels_and_clusters() {
        let sentinel = redis("redis+sentinel://u:p@s1,s2:1,[::1]/mymaster/3");
        assert_eq!(sentinel.form, Form::Sentinel { master: "mymaster".to_owned() });
        assert_eq!(sentinel.database, 3);
        assert_eq!(hosts("redis+sentinel://u:p@s1,s2:1,[::1]/m"), ["s1:26379", "s2:1", "[::1]:26379"]);
        let cluster = redis("rediss+cluster://:p@a:7000,b");
        assert_eq!((cluster.tls, cluster.form), (true, Form::Cluster));
        assert_eq!(hosts("valkey+cluster://a:7000,b"), ["a:7000", "b:6379"]);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("redis://a:1,b:2", "several hosts"),
            ("redis+sentinel://a", "name of the master"),
            ("redis+sentinel://a//3", "name of the master"),
            ("redis+cluster://a/1", "no database but 0"),
            ("redis://", "host"),
            ("redis://h:0", "port"),
            ("redis://[::1]6379", "port"),
            ("redis://h/x", "database"),
            ("redis://h/-1", "database"),
            ("redis://h?x=y", "'?'"),
            ("redis://a/b@h", "percent-encoded"),
            ("memory://x", "nothing may stand"),
        ] {
            let why = text.parse::<BrokerUrl>().unwrap_err().to_string();
            assert!(why.contains(part), "{text}: {why}");
        }
        for text in ["http://a", "redis+unix://a", "redis+sentinels://a"] {
            assert!(matches!(text.parse::<BrokerUrl>(), Err(BrokerUrlError::Unknown(_))), "{text}");
        }
        assert_eq!("localhost:6379".parse::<BrokerUrl>(), Err(BrokerUrlError::NoScheme));
    }

    #[test]
    fn a_password_is_never_printed() {
        for text in [
            "redis://user:s3cret@host:1/0",
            "redis://:s3cret@host",
            "rediss+cluster://u:s3cret@a,b",
            "redis+sentinel://u:s3cret@a,b/m",
            "redis://u:a@s3cret@host/x@y",
        ] {
            if let Ok(url) = text.parse::<BrokerUrl>() {
                assert!(!format!("{url} {url:?} {url:#?}").contains("s3cret"), "{text}");
            }
        }
        for text in ["redis://u:s3cret@h:notaport", "redis://u:s3cret@", "redis://u:s3cret@h/notadb"] {
            let why = text.parse::<BrokerUrl>().unwrap_err();
            assert!(!format!("{why} {why:?}").contains("s3cret"), "{text}");
        }
        let url: BrokerUrl = "redis://user:s3cret@host:1/0".parse().unwrap();
        assert_eq!(url.to_string(), "redis://user:***@host:1/0");
    }
}
