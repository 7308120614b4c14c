//! The address of a broker. It may hold a password, so nothing of this type prints one.

use std::fmt;
use std::str::FromStr;

/// Where events are kept: `memory://`, or `redis://[user[:password]@]host[:port][/db]`.
///
/// `Debug` and `Display` mask the password.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl(String);

/// Why a text is not a broker's address. Repeats nothing of it but the scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// There is no `://`.
    #[error("a broker's address is memory:// or redis://[user[:password]@]host[:port][/db]")]
    NoScheme,
    /// A form of Redis that Sluice does not speak yet.
    #[error("{0}:// is not supported yet; use redis://host:port, one Redis without TLS")]
    NotYet(String),
    /// Some other scheme.
    #[error("unknown scheme {0}://; use memory:// or redis://host:port")]
    Unknown(String),
    /// Several hosts, which would be a cluster or sentinels.
    #[error("several hosts in one address are not supported yet; name one Redis")]
    SeveralHosts,
    /// The rest is not an address.
    #[error("the address is not of the form redis://[user[:password]@]host[:port][/db]: {0}")]
    Broken(String),
}

impl BrokerUrl {
    /// The embedded broker of this process.
    #[must_use]
    pub fn memory() -> Self {
        Self("memory://".to_owned())
    }

    /// Whether this is the embedded broker.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.0.starts_with("memory:")
    }

    /// The whole address with its password, for opening connections only.
    pub(crate) fn exposed(&self) -> &str {
        &self.0
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(BrokerUrlError::NoScheme)?;
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::memory()),
            "memory" => Err(BrokerUrlError::Broken("memory:// has nothing behind it".to_owned())),
            "redis" => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let hosts = authority.rsplit('@').next().unwrap_or_default();
                if hosts.contains(',') {
                    return Err(BrokerUrlError::SeveralHosts);
                }
                crate::redis::check_url(text).map_err(BrokerUrlError::Broken)?;
                Ok(Self(text.to_owned()))
            }
            "rediss" | "redis+unix" | "unix" | "redis+sentinel" | "rediss+sentinel" | "redis-sentinel"
            | "sentinel" | "redis+cluster" | "rediss+cluster" | "redis-cluster" | "cluster" | "valkey"
            | "valkeys" => Err(BrokerUrlError::NotYet(scheme.to_owned())),
            other => Err(BrokerUrlError::Unknown(other.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("?") };
        let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some(at) = rest[..authority_len].rfind('@') else { return f.write_str(&self.0) };
        let user = rest[..at].split(':').next().unwrap_or_default();
        write!(f, "{scheme}://{user}:***{}", &rest[at..])
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

    #[test]
    fn accepts_one_redis_and_memory() {
        for text in
            ["memory://", "redis://127.0.0.1", "redis://u:p%40@redis.example:6380/2", "redis://[::1]:1/"]
        {
            assert!(text.parse::<BrokerUrl>().is_ok(), "{text}");
        }
        assert!("memory://".parse::<BrokerUrl>().unwrap().is_memory());
    }

    #[test]
    fn says_what_is_not_supported_yet() {
        for scheme in ["rediss", "redis+sentinel", "redis+cluster"] {
            let why = format!("{scheme}://h").parse::<BrokerUrl>().unwrap_err();
            assert_eq!(why, BrokerUrlError::NotYet(scheme.to_owned()));
        }
        assert_eq!("redis://a:1,b:2".parse::<BrokerUrl>(), Err(BrokerUrlError::SeveralHosts));
        assert_eq!("http://a".parse::<BrokerUrl>(), Err(BrokerUrlError::Unknown("http".to_owned())));
        assert_eq!("localhost:6379".parse::<BrokerUrl>(), Err(BrokerUrlError::NoScheme));
    }

    #[test]
    fn a_password_is_never_printed() {
        for text in ["redis://user:s3cret@host:1/0", "redis://:s3cret@host", "redis://u:a@s3cret@host/x@y"] {
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
