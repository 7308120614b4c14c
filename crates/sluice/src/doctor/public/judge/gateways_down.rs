//! What a proxy answers to a browser while it reaches no gateway. Pure.
//!
//! An EventSource comes back after a network error and after the end of a `text/event-stream`; any other answer ends it
//! for good. Source: HTML standard, "Server-sent events", the processing model of `EventSource`.

use hyper::StatusCode;

use super::super::exchange::Head;
use crate::doctor::finding::Finding;

const ID: &str = "public.gateways-down";
const FIX: &str = "answer GET /v1/events in place of 502, 503 and 504 with 200, Content-Type: text/event-stream, \
                   Cache-Control: no-store and the body \"retry: 3000\" and an empty line: docker/nginx.conf and \
                   docker/haproxy.cfg do, docs/tuning.md says how with others";
/// A `retry` outside of these is worth knowing of.
const RETRY_MS_USUAL: std::ops::RangeInclusive<u64> = 500..=60_000;

/// What came behind a head with the status 200.
#[derive(Debug, Clone, Default)]
pub(in crate::doctor::public) struct Answer {
    pub(in crate::doctor::public) retry_ms: Option<u64>,
    /// A cursor or an event came, which no proxy writes.
    pub(in crate::doctor::public) is_of_node: bool,
    pub(in crate::doctor::public) has_ended: bool,
}

/// What cannot be tried while gateways run.
pub(in crate::doctor::public) fn gateways_up() -> Finding {
    Finding::note(ID, "not tried: a gateway answers")
        .why("where a proxy answers 502 or 503 while all gateways restart, browsers do not come back")
        .fix("sluice doctor --url .. --gateways-down while all gateways are stopped, on a system that may fail")
}

/// Judges a status other than 200.
pub(in crate::doctor::public) fn refused_without_gateways(status: StatusCode, detail: &str) -> Finding {
    let seen = match detail.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => format!("a browser is answered {status}: {line}"),
        None => format!("a browser is answered {status}"),
    };
    Finding::error(ID, seen)
        .why("EventSource gives up for good at a status other than 200: every open page stays deaf until it is reloaded")
        .fix(FIX)
}

/// Judges an answer with the status 200.
pub(in crate::doctor::public) fn answered_without_gateways(head: &Head, answer: &Answer) -> Vec<Finding> {
    if answer.is_of_node {
        return vec![
            Finding::error(ID, "a gateway answers")
                .why("what a browser gets without gateways shows only while none runs")
                .fix("stop all gateways behind this address, then run this again"),
        ];
    }
    let media = head.header("content-type").unwrap_or("none");
    if !media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream") {
        return vec![
            Finding::error(ID, format!("a browser is answered 200 with Content-Type: {media}"))
                .why("EventSource takes text/event-stream alone and gives up for good otherwise")
                .fix(FIX),
        ];
    }
    vec![retry(answer), caching(head), origins(head)]
}

fn retry(answer: &Answer) -> Finding {
    if !answer.has_ended {
        return Finding::error(ID, "a stream begins that does not end, and no gateway is behind it")
            .why("a browser waits for events that cannot come")
            .fix("the body must end behind its retry");
    }
    let Some(ms) = answer.retry_ms else {
        return Finding::warning(ID, "a browser is told to come back, but not when")
            .why("it waits as long as its maker chose, 3 to 5 s, and all come back at once")
            .fix(FIX);
    };
    let seen = format!("a browser is told to come back in {ms} ms");
    if RETRY_MS_USUAL.contains(&ms) {
        return Finding::ok(ID, seen);
    }
    Finding::note(ID, seen)
        .why("sooner is a storm of reconnects, later is a page that is deaf for long")
        .fix("a retry of 2,000 to 5,000 ms")
}

fn caching(head: &Head) -> Finding {
    const ID: &str = "public.gateways-down-caching";
    let value = head.header("cache-control").unwrap_or("none");
    if value.split(',').any(|part| part.trim().eq_ignore_ascii_case("no-store")) {
        return Finding::ok(ID, format!("Cache-Control: {value}"));
    }
    Finding::warning(ID, format!("Cache-Control: {value}"))
        .why("a cache may keep this answer and give it to browsers when gateways are back")
        .fix("Cache-Control: no-store in this answer")
}

fn origins(head: &Head) -> Finding {
    const ID: &str = "public.gateways-down-cors";
    match head.header("access-control-allow-origin") {
        Some(_) => Finding::ok(ID, "pages of other origins may read it"),
        None => Finding::note(ID, "pages of other origins may not read it")
            .why("their EventSource gives up for good; pages of the same origin do not need it")
            .fix("Access-Control-Allow-Origin with the request's Origin, and Access-Control-Allow-Credentials: true"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Version;
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::doctor::finding::Level;

    fn head(fields: &[(&'static str, &'static str)]) -> Head {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Head { status: StatusCode::OK, version: Version::HTTP_11, headers, after: Duration::ZERO }
    }

    fn good() -> (Head, Answer) {
        let fields = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("access-control-allow-origin", "*"),
        ];
        (head(&fields), Answer { retry_ms: Some(3_000), is_of_node: false, has_ended: true })
    }

    fn worst(head: &Head, answer: &Answer) -> Level {
        answered_without_gateways(head, answer).iter().map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn an_answer_that_a_browser_survives_is_all_right() {
        let (head, answer) = good();
        assert_eq!(worst(&head, &answer), Level::Ok);
    }

    #[test]
    fn a_status_ends_a_browser_for_good() {
        let found = refused_without_gateways(StatusCode::BAD_GATEWAY, "<html>\r\n<head>");
        assert_eq!(
            (found.level, found.seen.as_str()),
            (Level::Error, "a browser is answered 502 Bad Gateway: <html>")
        );
        assert!(found.fix.contains("retry: 3000"), "{}", found.fix);
    }

    #[test]
    fn what_a_browser_does_not_survive_or_repeats_at_once_is_told() {
        let (well, answer) = good();
        let page = head(&[("content-type", "text/html"), ("cache-control", "no-store")]);
        assert_eq!(worst(&page, &answer), Level::Error);
        assert_eq!(worst(&well, &Answer { has_ended: false, ..answer.clone() }), Level::Error);
        assert_eq!(worst(&well, &Answer { retry_ms: None, ..answer.clone() }), Level::Warning);
        assert_eq!(worst(&well, &Answer { retry_ms: Some(1), ..answer.clone() }), Level::Note);
        assert_eq!(worst(&head(&[("content-type", "text/event-stream")]), &answer), Level::Warning);
    }

    #[test]
    fn a_gateway_that_answers_is_no_proof() {
        let (head, answer) = good();
        let found = answered_without_gateways(&head, &Answer { is_of_node: true, ..answer });
        assert_eq!((found.len(), found[0].level), (1, Level::Error));
        assert!(found[0].fix.contains("stop all gateways"), "{}", found[0].fix);
    }
}
