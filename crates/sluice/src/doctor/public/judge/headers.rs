//! What a stream's head says of the way. Pure.

use hyper::Version;

use super::super::exchange::Head;
use crate::doctor::finding::Finding;

pub(in crate::doctor::public) fn head(head: &Head) -> Vec<Finding> {
    [content_type(head), caching(head), framing(head)].into()
}

fn content_type(head: &Head) -> Finding {
    const ID: &str = "public.content-type";
    let seen = head.header("content-type").unwrap_or("none");
    let media = seen.split(';').next().unwrap_or_default().trim();
    let after = format!("{seen}, {} ms after the request", head.after.as_millis());
    if media.eq_ignore_ascii_case("text/event-stream") {
        return Finding::ok(ID, after);
    }
    Finding::error(ID, after)
        .why("EventSource takes text/event-stream alone and never comes back otherwise; perhaps this is no node")
        .fix("the address in --url, the proxy's route for /v1/, and whatever sets Content-Type on the way")
}

fn caching(head: &Head) -> Finding {
    const ID: &str = "public.cache-control";
    let values: Vec<&str> =
        head.headers.get_all("cache-control").iter().filter_map(|value| value.to_str().ok()).collect();
    let all = values.join(", ");
    let says = |word: &str| all.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    let passed = match head.header("x-accel-buffering") {
        Some(_) => "x-accel-buffering came through",
        // nginx takes it for itself, as it is meant to.
        None => "x-accel-buffering was taken on the way",
    };
    if (says("no-cache") || says("no-store")) && says("no-transform") {
        return Finding::ok(ID, format!("{all}; {passed}"));
    }
    let seen = if all.is_empty() { "removed".to_owned() } else { format!("rewritten: {all}") };
    Finding::warning(ID, format!("{seen}; {passed}"))
        .why("caches and compressing proxies further on are told by `no-cache, no-transform` to leave a stream alone")
        .fix("let the response header pass (nginx: no proxy_hide_header Cache-Control, no expires)")
}

fn framing(head: &Head) -> Finding {
    const ID: &str = "public.framing";
    let version = match head.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "another version of HTTP",
    };
    if let Some(length) = head.header("content-length") {
        return Finding::error(ID, format!("{version}, content-length {length}"))
            .why("a stream has no length: whatever gave it one has read the whole response first")
            .fix("switch buffering and caching off for /v1/events");
    }
    let chunked = head.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let form = if chunked { "chunked" } else { "ended by closing the connection" };
    let seen = format!("{version}, {form}{}", via(head));
    if chunked && head.version == Version::HTTP_11 {
        return Finding::ok(ID, seen);
    }
    Finding::note(ID, seen)
        .why("the end of such a response cannot be told from a broken connection, and no connection is used again")
        .fix("nginx: proxy_http_version 1.1; HTTP/1.1 or HTTP/2 towards clients")
}

/// Who says to have had the response in hand.
fn via(head: &Head) -> String {
    let named = |name: &str| head.header(name).map(|value| format!(", {name}: {value}")).unwrap_or_default();
    named("server") + &named("via")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::{HeaderMap, HeaderName, HeaderValue};
    use hyper::{StatusCode, Version};

    use super::*;
    use crate::doctor::finding::Level;

    fn with(more: &[(&'static str, &'static str)]) -> Head {
        let mut headers = HeaderMap::new();
        let usual = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("transfer-encoding", "chunked"),
        ];
        for (name, value) in usual.iter().chain(more) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Head { status: StatusCode::OK, version: Version::HTTP_11, headers, after: Duration::ZERO }
    }

    fn worst(head: &Head) -> Level {
        super::head(head).iter().map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn a_head_that_came_through_is_all_right() {
        assert_eq!(worst(&with(&[])), Level::Ok);
        assert_eq!(worst(&with(&[("content-type", "Text/Event-Stream; charset=utf-8")])), Level::Ok);
        assert_eq!(worst(&with(&[("x-accel-buffering", "no"), ("server", "nginx")])), Level::Ok);
    }

    #[test]
    fn what_was_changed_is_told() {
        assert_eq!(worst(&with(&[("content-type", "text/html")])), Level::Error);
        assert_eq!(worst(&with(&[("content-length", "12")])), Level::Error);
        assert_eq!(worst(&with(&[("cache-control", "max-age=3600")])), Level::Warning);
        assert_eq!(worst(&with(&[("transfer-encoding", "identity")])), Level::Note);
        assert_eq!(worst(&Head { version: Version::HTTP_10, ..with(&[]) }), Level::Note);
    }
}
