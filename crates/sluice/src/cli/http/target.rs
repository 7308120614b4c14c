//! Where a node is: the address that verbs are given.

use std::str::FromStr;

use hyper::Uri;

/// The address of a node: `http[s]://host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) prefix: String,
}

/// A text is no address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form http://host:port or https://host")]
pub(crate) struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let form = || TargetError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| form())?;
        let (tls, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(form()),
        };
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(form)?;
        if uri.query().is_some() || authority.host().is_empty() {
            return Err(form());
        }
        // Not `Uri::port`, which takes a port that is no number for none at all.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => usual_port,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(form)?,
            None => return Err(form()),
        };
        Ok(Self {
            tls,
            host: authority.host().to_owned(),
            port,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl Target {
    /// Whether it is spoken to by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// What the `Host` header says: without a port that its scheme says already.
    pub(super) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The host as a resolver wants it: brackets belong to an IPv6 address in a URL, not to the address.
    pub(super) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let target = |tls, host: &str, port, prefix: &str| Target {
            tls,
            host: host.into(),
            port,
            prefix: prefix.into(),
        };
        assert_eq!("http://localhost:8080".parse(), Ok(target(false, "localhost", 8080, "")));
        assert_eq!("http://a.example/sluice/".parse(), Ok(target(false, "a.example", 80, "/sluice")));
        assert_eq!("https://a.example".parse(), Ok(target(true, "a.example", 443, "")));
        let local: Target = "http://[::1]:1".parse().unwrap();
        assert_eq!((local.bare_host(), local.authority().as_str()), ("::1", "[::1]:1"));
        for (text, authority) in
            [("http://a", "a"), ("https://a:443", "a"), ("https://a:80", "a:80"), ("http://a:443", "a:443")]
        {
            assert_eq!(text.parse::<Target>().unwrap().authority(), authority);
        }
        for text in [
            "",
            "localhost:8080",
            "http://",
            "ftp://a",
            "http://u:p@a",
            "http://a?b=c",
            "http://a:99999",
            "http://a:",
        ] {
            assert_eq!(text.parse::<Target>(), Err(TargetError(text.into())), "{text}");
        }
    }
}
