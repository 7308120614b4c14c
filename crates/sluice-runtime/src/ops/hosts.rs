//! Which names a request may call the operations listener by.
//!
//! A web page can make a browser send requests to an address of its network by letting a name of the page's own resolve
//! to it (DNS rebinding). Such a name is one that can be registered, so it has a dot and ends like no name of a cluster.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header, uri::Authority};

/// Endings of names that cannot be registered: of Kubernetes, of private networks, of this host.
const PRIVATE: [&str; 4] = [".svc", ".local", ".internal", ".localhost"];

/// Returns whether every name that the request calls this listener by is one that it may have. A request without any
/// comes from no browser.
pub(super) fn are_allowed(uri: &Uri, headers: &HeaderMap, allowed: &[String]) -> bool {
    let fields = headers.get_all(header::HOST).iter();
    let fields = fields.map(|value| value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()));
    let mut all = fields.chain(uri.authority().cloned().map(Some));
    all.all(|authority| authority.is_some_and(|authority| is_allowed(authority.host(), allowed)))
}

fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    literal.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || PRIVATE.iter().any(|ending| host.ends_with(ending))
        || allowed.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_page_could_have_registered_are_refused() {
        let allowed = ["ops.example.com".to_owned()];
        for host in [
            "127.0.0.1:8082",
            "[::1]:8082",
            "10.1.2.3",
            "localhost:8082",
            "sluice-0",
            "sluice.default.svc:8082",
            "sluice.default.svc.cluster.local",
            "OPS.example.com:8082",
            "ops.example.com.",
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert!(are_allowed(&Uri::from_static("/"), &headers, &allowed), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "example.com", "a b", ""]
        {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert!(!are_allowed(&Uri::from_static("/"), &headers, &allowed), "{host:?}");
        }
        assert!(are_allowed(&Uri::from_static("/"), &HeaderMap::new(), &[]));
        assert!(!are_allowed(&Uri::from_static("http://evil.example/"), &HeaderMap::new(), &[]));
    }
}
