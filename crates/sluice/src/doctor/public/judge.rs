//! What a response through the public address says of the way. Pure.

mod gateways_down;
mod headers;

use std::time::Duration;

use hyper::StatusCode;
use sluice_wire::Topic;

use crate::doctor::finding::Finding;

pub(super) use gateways_down::{Answer, answered_without_gateways, gateways_up, refused_without_gateways};
pub(super) use headers::head;

const NGINX: &str =
    "nginx: proxy_buffering off (and no proxy_ignore_headers X-Accel-Buffering), proxy_http_version 1.1";

/// A greeting that takes longer is worth knowing of.
const GREETING_SLOW: Duration = Duration::from_secs(1);

/// The first frame of a stream, as far as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Greeting {
    /// From the head to the first frame.
    pub(super) after: Option<Duration>,
    pub(super) retry_ms: Option<u64>,
    pub(super) id: Option<String>,
    /// The id is a cursor that a node could read again.
    pub(super) readable: bool,
    /// The node shed the stream; what it said.
    pub(super) shed: Option<String>,
    /// The stream ended before its greeting; why.
    pub(super) ended: Option<String>,
    /// How long was waited.
    pub(super) within: Duration,
}

/// What came of a stream that was asked for with a cursor that no node can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// A node complained of the cursor, so it reached the node.
    Told,
    /// An answer other than 200.
    Refused(StatusCode),
    /// A stream without a complaint, or no answer.
    Ignored,
}

/// What became of a stream that was left alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// How long it was watched at most.
    pub(super) idle: Duration,
    /// Heartbeats and checkpoints.
    pub(super) signs: u32,
    pub(super) longest_silence: Duration,
    /// When it ended before its time, and why.
    pub(super) ended: Option<(Duration, String)>,
}

/// No answer to a request for a stream.
pub(super) fn silent(why: &str, answers_otherwise: bool) -> Finding {
    if answers_otherwise {
        let why = "other requests are answered, so something on the way waits for the end of a response that has none: \
                   clients would see nothing";
        return Finding::error("public.buffering", "not even the head of a stream came").why(why).fix(NGINX);
    }
    Finding::error("public.address", why)
        .why("clients cannot open a stream at all")
        .fix(
            "the address, the proxy's route for /v1/, and whether a node behind it is ready (/readyz); a certificate of \
             a private authority is trusted here by SSL_CERT_FILE=ca.pem",
        )
}

/// An answer other than 200.
pub(super) fn refused(status: StatusCode, detail: &str, topic: &Topic) -> Finding {
    let finding = Finding::error("public.address", format!("{status}: {detail}"));
    let finding = finding.why("EventSource never comes back after a status other than 200");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => finding.fix(format!(
            "{topic} may not be subscribed to: name another with --topic, put a token into SLUICE_TOKEN, or open it: \
             auth.anonymous.subscribe = [\"{topic}\"]"
        )),
        StatusCode::NOT_FOUND => finding.fix("the proxy's route for /v1/, and its prefix in --url"),
        _ => finding.fix("the proxy's log; whether a node behind it is ready (/readyz)"),
    }
}

/// What a server chose that was offered HTTP/2 and HTTP/1.1.
pub(super) fn protocol(chosen: Result<Option<String>, String>) -> Finding {
    const ID: &str = "public.protocol";
    match chosen {
        Ok(Some(protocol)) if protocol == "h2" => Finding::ok(ID, "HTTP/2 for clients that can"),
        Ok(_) => Finding::note(ID, "HTTP/1.1 alone")
            .why("a browser opens at most six connections to a host: six tabs with a stream, and nothing else loads")
            .fix("HTTP/2 towards clients (nginx: http2 on, or listen 443 ssl http2)"),
        Err(why) => Finding::error(ID, why)
            .why("clients cannot connect")
            .fix("the certificate and its chain; a private authority is trusted here by SSL_CERT_FILE=ca.pem"),
    }
}

pub(super) fn greeting(greeting: &Greeting) -> Finding {
    const ID: &str = "public.buffering";
    if let Some(shed) = &greeting.shed {
        return Finding::error("public.admission", format!("the node shed the stream: {shed}"))
            .why("nothing further could be looked at")
            .fix("limits.streams_max and limits.accept_per_second, or more nodes; then run this again");
    }
    let Some((after, id)) = greeting.after.zip(greeting.id.as_ref()) else {
        let seen = match &greeting.ended {
            Some(why) => format!("no first frame: {why}"),
            None => format!("no first frame within {:?} of the head", greeting.within),
        };
        let why = "a node greets at once: something on the way collects the response before it sends any";
        return Finding::error(ID, seen).why(why).fix(NGINX);
    };
    if !greeting.readable || greeting.retry_ms.is_none() {
        let seen = format!("the first frame came changed: id {id:?}, retry {:?}", greeting.retry_ms);
        let why = "a client that resumes with such a cursor is told `unknown-cursor` and loses its place";
        return Finding::error("public.cursor", seen)
            .why(why)
            .fix("whatever rewrites bodies on the way (filters, WAF)");
    }
    let seen = format!("the first frame came {} ms after the head, its cursor whole", after.as_millis());
    if after < GREETING_SLOW {
        return Finding::ok(ID, seen);
    }
    Finding::note(ID, seen).why("a node greets at once").fix(NGINX)
}

pub(super) fn compression(encoding: Option<&str>) -> Finding {
    const ID: &str = "public.compression";
    match encoding {
        None | Some("identity") => Finding::ok(ID, "none is added for clients that take it"),
        Some(encoding) => Finding::warning(ID, format!("something on the way compresses streams: {encoding}"))
            .why(
                "it costs the proxy memory and time a stream, and events wait wherever it does not flush each of them",
            )
            .fix("take text/event-stream out of the proxy's types (nginx: gzip_types; Cloudflare: a compression rule)"),
    }
}

/// `told`: a node complained of the unreadable cursor that was sent.
pub(super) fn cursor(told: bool) -> Finding {
    const ID: &str = "public.last-event-id";
    if told {
        return Finding::ok(ID, "Last-Event-ID reaches the node");
    }
    Finding::error(ID, "Last-Event-ID does not reach the node")
        .why("a client that reconnects begins anew: what was published in between is lost to it without a word")
        .fix("let the request header pass (nginx: no proxy_set_header Last-Event-ID \"\"; CDN: its list of headers)")
}

/// `reaction`: to an unreadable cursor of `bytes`, where a short one had reached the node.
pub(super) fn long_cursor(bytes: usize, reaction: &Reaction) -> Finding {
    const ID: &str = "public.header-size";
    let kib = bytes / 1024;
    let seen = match reaction {
        Reaction::Told => return Finding::ok(ID, format!("a Last-Event-ID of {kib} KiB reaches the node")),
        Reaction::Refused(status) => format!("a Last-Event-ID of {kib} KiB is answered {status}"),
        Reaction::Ignored => format!("a Last-Event-ID of {kib} KiB does not reach the node"),
    };
    Finding::warning(ID, seen)
        .why(
            "a stream of some hundred topics has such a cursor: its client is let in once, and cannot come back with \
             what it was given",
        )
        .fix(
            "allow request headers of 16 KiB (nginx: large_client_header_buffers 4 32k; HAProxy: tune.bufsize 32768), or \
             keep streams below a hundred topics",
        )
}

pub(super) fn idle(watched: &Watched, heartbeat: Duration) -> Finding {
    const ID: &str = "public.idle-timeout";
    let signs = format!(
        "{} heartbeats, {:.1} s of silence at most",
        watched.signs,
        watched.longest_silence.as_secs_f64()
    );
    if let Some((after, why)) = &watched.ended {
        let after_s = after.as_secs_f64();
        let seen = format!("an idle stream ended after {after_s:.1} s ({why}); {signs}");
        let why =
            "every client reconnects as often; nothing is lost, but each time costs a handshake and a replay";
        let fix = format!(
            "raise the proxy's timeouts above {} s of silence and, where it limits a whole response, to hours: nginx \
             proxy_read_timeout 1h; HAProxy timeout tunnel/server 1h; Envoy route timeout 0s, stream_idle_timeout 3600s; \
             GKE timeoutSec 86400; or lower streams.heartbeat_ms",
            heartbeat.as_secs()
        );
        return Finding::error(ID, seen).why(why).fix(fix);
    }
    let seen = format!("open for {} s; {signs}", watched.idle.as_secs());
    if watched.signs == 0 && watched.idle > heartbeat * 2 {
        let why = format!(
            "a heartbeat is due every {} s: something holds small writes back, and events with them",
            heartbeat.as_secs_f64()
        );
        return Finding::error(ID, seen).why(why).fix(NGINX);
    }
    if watched.idle < heartbeat {
        return Finding::ok(ID, format!("{seen} (watched for less than a heartbeat)"));
    }
    Finding::ok(ID, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    fn greeted() -> Greeting {
        Greeting {
            after: Some(Duration::from_millis(2)),
            retry_ms: Some(2_000),
            id: Some("0-0".to_owned()),
            readable: true,
            within: Duration::from_secs(10),
            ..Greeting::default()
        }
    }

    #[test]
    fn a_first_frame_that_is_late_missing_or_changed_is_told() {
        let level = |greeting: &Greeting| super::greeting(greeting).level;
        assert_eq!(level(&greeted()), Level::Ok);
        assert_eq!(level(&Greeting { after: Some(Duration::from_secs(2)), ..greeted() }), Level::Note);
        assert_eq!(level(&Greeting { id: None, ..greeted() }), Level::Error);
        assert_eq!(super::greeting(&Greeting { readable: false, ..greeted() }).id, "public.cursor");
        assert_eq!(super::greeting(&Greeting { retry_ms: None, ..greeted() }).id, "public.cursor");
        assert_eq!(
            super::greeting(&Greeting { shed: Some("{}".into()), ..greeted() }).id,
            "public.admission"
        );
    }

    #[test]
    fn six_connections_are_few() {
        let level = |chosen: Option<&str>| protocol(Ok(chosen.map(str::to_owned))).level;
        assert_eq!(
            (level(Some("h2")), level(Some("http/1.1")), level(None)),
            (Level::Ok, Level::Note, Level::Note)
        );
        assert_eq!(protocol(Err("TLS".to_owned())).level, Level::Error);
    }

    #[test]
    fn silence_is_buffering_only_where_other_requests_are_answered() {
        assert_eq!(silent("x", true).id, "public.buffering");
        assert_eq!(silent("x", false).id, "public.address");
    }

    #[test]
    fn an_idle_stream_must_live_and_be_kept_awake() {
        let beat = Duration::from_secs(15);
        let watched = Watched { idle: beat * 3, signs: 2, longest_silence: beat, ended: None };
        assert_eq!(idle(&watched, beat).level, Level::Ok);
        assert_eq!(idle(&Watched { signs: 0, ..watched.clone() }, beat).level, Level::Error);
        assert_eq!(idle(&Watched { signs: 0, idle: beat / 2, ..watched.clone() }, beat).level, Level::Ok);
        let ended = Some((beat, "the response ended".to_owned()));
        assert_eq!(idle(&Watched { ended, ..watched }, beat).level, Level::Error);
    }

    #[test]
    fn a_long_cursor_must_reach_the_node() {
        let level = |reaction| long_cursor(12 << 10, &reaction).level;
        assert_eq!(level(Reaction::Told), Level::Ok);
        assert_eq!(level(Reaction::Ignored), Level::Warning);
        let refused = long_cursor(12 << 10, &Reaction::Refused(StatusCode::BAD_REQUEST));
        assert!(refused.seen.contains("12 KiB is answered 400"), "{}", refused.seen);
    }

    #[test]
    fn a_topic_that_is_not_open_is_named() {
        let topic = Topic::parse("a").unwrap();
        assert!(refused(StatusCode::UNAUTHORIZED, "", &topic).fix.contains("--topic"));
        assert!(refused(StatusCode::NOT_FOUND, "", &topic).fix.contains("prefix"));
        assert_eq!((compression(Some("gzip")).level, cursor(false).level), (Level::Warning, Level::Error));
    }
}
