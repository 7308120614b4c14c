//! Where a request carries its credentials: `Authorization: Bearer`, else (where that is switched on)
//! `?access_token=`, else a cookie. The first that is there counts, and is judged; it never falls back to another.
//!
//! A cookie is sent by the browser whoever asks, so it only counts when the page is known to be one of those
//! that may: always for a POST, and for a GET unless nothing says that another site asks.

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, Method, Uri};

use crate::denial::Denial;

/// The parameter of a query that is a token. Source: RFC 6750, section 2.3.
const QUERY_PARAMETER: &str = "access_token";

/// What of a request says who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Its query, without the question mark.
    pub query: Option<&'r str>,
    /// The authority of its target, which HTTP/2 has in place of `Host`.
    pub authority: Option<&'r str>,
}

impl<'r> Request<'r> {
    /// What of `request` says who sends it.
    #[must_use]
    pub fn of<B>(request: &'r http::Request<B>) -> Self {
        let uri = request.uri();
        let authority = uri.authority().map(http::uri::Authority::as_str);
        Self { method: request.method(), headers: request.headers(), query: uri.query(), authority }
    }
}

/// Where credentials are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) cookie: Option<String>,
    /// Origins, beside the request's own host, whose pages may use the cookie.
    pub(crate) cookie_origins: Vec<String>,
    pub(crate) query: bool,
}

impl Places {
    /// The credentials of `request`, if it has any.
    pub(crate) fn find(&self, request: &Request<'_>) -> Result<Option<String>, Denial> {
        if let Some(token) = bearer(request.headers)? {
            return Ok(Some(token.to_owned()));
        }
        if let Some(token) = query_token(request.query) {
            if self.query {
                return Ok(Some(token));
            }
            let detail = "tokens are not read from the query here: send Authorization: Bearer or the cookie, or \
                          switch auth.query_token on";
            return Err(Denial::invalid("query-token", detail));
        }
        let Some(token) = self.cookie.as_deref().and_then(|name| cookie(request.headers, name)) else {
            return Ok(None);
        };
        if self.may_use_cookie(request) {
            return Ok(Some(token.to_owned()));
        }
        // Without its cookie a GET may still be for something open to everybody; a POST that leans on one is
        // told so.
        if reads_only(request.method) { Ok(None) } else { Err(Denial::Origin) }
    }

    fn may_use_cookie(&self, request: &Request<'_>) -> bool {
        let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        match text(ORIGIN.as_str()) {
            Some(origin) => {
                self.cookie_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
                    || is_own(origin, request.authority.or_else(|| text(HOST.as_str())))
            }
            None => {
                reads_only(request.method)
                    && !matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"))
            }
        }
    }
}

/// Takes the credentials out of a request that was judged: nothing further on has any use for them, so nothing
/// further on can write them down.
pub fn forget_credentials<B>(request: &mut http::Request<B>) {
    if let Some(query) = request.uri().query().and_then(without_token) {
        let path = request.uri().path();
        let shorter = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        if let Ok(uri) = Uri::try_from(shorter) {
            *request.uri_mut() = uri;
        }
    }
    for name in [AUTHORIZATION, COOKIE] {
        request.headers_mut().remove(name);
    }
}

/// A query without its token; `None` when it holds none.
fn without_token(query: &str) -> Option<String> {
    let is_token = |pair: &str| {
        form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == QUERY_PARAMETER)
    };
    if !query.split('&').any(is_token) {
        return None;
    }
    Some(query.split('&').filter(|pair| !is_token(pair)).collect::<Vec<_>>().join("&"))
}

fn reads_only(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a page of `origin` was served by the host that is asked. The scheme is the proxy's affair.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    matches!((authority, host), (Some(page), Some(host)) if page.eq_ignore_ascii_case(host))
}

const SCHEME: &[u8] = b"bearer ";

/// Source: RFC 6750, section 2.1. Other schemes are somebody else's.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denial> {
    let mut bearers = headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
    });
    let first = bearers.next();
    if bearers.next().is_some() {
        return Err(Denial::invalid("malformed", "there is more than one Authorization header; send one"));
    }
    let Some(token) = first else { return Ok(None) };
    let text = std::str::from_utf8(token).ok().filter(|text| text.is_ascii());
    let unreadable = || Denial::invalid("malformed", "the token holds characters that no token has");
    text.map(|text| Some(text.trim())).ok_or_else(unreadable)
}

fn query_token(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name == QUERY_PARAMETER).map(|(_, token)| token.into_owned())
}

/// Source: RFC 6265, section 4.2.1.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, value)| key.trim() == name && !value.trim().is_empty())?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(query: bool) -> Places {
        let cookie_origins = vec!["https://app.example".to_owned()];
        Places { cookie: Some("sluice_token".to_owned()), cookie_origins, query }
    }

    fn find(
        method: &Method,
        fields: &[(&'static str, &str)],
        query: Option<&str>,
    ) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let request = Request { method, headers: &headers, query, authority: None };
        places(query.is_some_and(|query| query.contains("on"))).find(&request).map_err(|d| d.reason())
    }

    fn token(text: &str) -> Result<Option<String>, &'static str> {
        Ok(Some(text.to_owned()))
    }

    #[test]
    fn the_header_comes_before_the_query_and_the_query_before_the_cookie() {
        let cookie = ("cookie", "a=b; sluice_token=c.o.k; z=\"\"");
        let all = [("authorization", "bearer  h.e.a"), cookie];
        assert_eq!(find(&Method::GET, &all, Some("access_token=q&on")), token("h.e.a"));
        assert_eq!(find(&Method::GET, &[cookie], Some("topic=a&access_token=q%2E&on")), token("q."));
        assert_eq!(find(&Method::GET, &[cookie], Some("topic=a")), token("c.o.k"));
        assert_eq!(find(&Method::GET, &[cookie], Some("access_token=q")), Err("query-token"));
        assert_eq!(find(&Method::GET, &[("authorization", "Basic YTpi")], None), Ok(None));
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(find(&Method::GET, &twice, None), Err("malformed"));
        assert_eq!(find(&Method::GET, &[("cookie", "xsluice_token=a; sluice_token=")], None), Ok(None));
        assert_eq!(
            find(&Method::GET, &[("cookie", "a=1"), ("cookie", "sluice_token=\"q\"")], None),
            token("q")
        );
    }

    #[test]
    fn a_cookie_counts_for_pages_that_may_use_it() {
        let with = |method: &Method, field: Option<(&'static str, &str)>| {
            let mut fields = vec![("cookie", "sluice_token=t"), ("host", "sse.example")];
            fields.extend(field);
            find(method, &fields, None)
        };
        for origin in ["https://app.example", "https://sse.example", "http://SSE.example"] {
            assert_eq!(with(&Method::GET, Some(("origin", origin))), token("t"), "{origin}");
            assert_eq!(with(&Method::POST, Some(("origin", origin))), token("t"), "{origin}");
        }
        for origin in ["https://evil.example", "null", "https://app.example.evil", "https://sse.example:8443"]
        {
            assert_eq!(with(&Method::GET, Some(("origin", origin))), Ok(None), "{origin}");
            assert_eq!(with(&Method::POST, Some(("origin", origin))), Err("origin"), "{origin}");
        }
        assert_eq!(with(&Method::GET, None), token("t"));
        assert_eq!(with(&Method::GET, Some(("sec-fetch-site", "same-origin"))), token("t"));
        assert_eq!(with(&Method::GET, Some(("sec-fetch-site", "cross-site"))), Ok(None));
        assert_eq!(with(&Method::POST, None), Err("origin"), "a POST must say where it comes from");
    }

    #[test]
    fn a_query_is_shown_without_its_token() {
        assert_eq!(without_token("topic=a&access_token=x.y.z&b").as_deref(), Some("topic=a&b"));
        assert_eq!(without_token("access%5Ftoken=x&access_token=y").as_deref(), Some(""));
        assert_eq!(without_token("topic=access_token"), None);
    }
}
