//! What a client asks for: topics, and where to begin. Parsed from the query and `Last-Event-ID` once.

use std::borrow::Cow;
use std::fmt::Display;

use http::HeaderMap;
use sluice_broker::{Broker, BrokerError, Start, resolve_since_each, settle_each, settled_ms};
use sluice_fanout::Projection;
use sluice_wire::cursor::{Cursor, CursorError};
use sluice_wire::{EventId, LAST_EVENT_ID, Problem, Since, Topic, TraceParent, is_last_event_id, parameter};

/// What the query of a stream may hold. Tokens and `errors` are read by others.
const PARAMETERS: [&str; 7] =
    ["topic", "since", LAST_EVENT_ID, "cursor_events", "auth", "errors", "access_token"];

/// A checked request for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Distinct, in the order asked for.
    pub(crate) topics: Vec<Topic>,
    /// Whether the client must not be taken for an anonymous one: a stream without credentials is of no use to it.
    pub(crate) auth_required: bool,
    /// The form in which they are sent.
    pub(crate) projection: Projection,
    pub(crate) origin: Origin,
    /// The trace that the request belongs to.
    pub(crate) trace: Option<TraceParent>,
}

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Behind what the client has seen.
    Cursor(Cursor),
    /// As the client chose.
    Since(Since),
    /// With the next event.
    Live,
    /// The client has a cursor that a newer version wrote: another node may read it.
    NewerCursor,
    /// The client has a cursor that nobody can read: it is told, and begins with the next event.
    UnknownCursor,
}

impl Subscription {
    /// Reads the query and the headers of a request.
    ///
    /// # Errors
    ///
    /// The problem to answer with. A cursor in the header never is one: EventSource would give up.
    pub(crate) fn parse(query: &str, headers: &HeaderMap, topics_max: usize) -> Result<Self, Problem> {
        let mut topics: Vec<Topic> = Vec::new();
        let (mut since, mut cursor) = (None, None);
        let (mut projection, mut auth_required) = (Projection::default(), false);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match parameter(&key, &PARAMETERS)? {
                "topic" => {
                    let topic =
                        Topic::parse(&value).map_err(|error| bad("invalid-topic", "Not a topic", error))?;
                    if topics.contains(&topic) {
                        continue;
                    }
                    // Here, so that thousands cost no more than those that may be.
                    if topics.len() == topics_max {
                        let detail =
                            format!("a stream has at most {topics_max} topics, this one asks for more");
                        return Err(bad("too-many-topics", "Too many topics", detail));
                    }
                    topics.push(topic);
                }
                "since" => since = Some(value.into_owned()),
                LAST_EVENT_ID => cursor = Some(value.into_owned()),
                "auth" if value == "required" => auth_required = true,
                "auth" => {
                    return Err(bad("invalid-query", "The query is not valid", "auth must be required"));
                }
                "cursor_events" => projection.cursor_events = switch("cursor_events", &value)?,
                _ => {}
            }
        }
        if topics.is_empty() {
            return Err(bad("no-topic", "No topic", "name at least one: /v1/events?topic=orders"));
        }
        let origin = origin(headers, cursor.as_deref(), since.as_deref())?;
        let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let trace = trace.and_then(TraceParent::parse);
        Ok(Self { topics, auth_required, projection, origin, trace })
    }

    /// The cursor that the client came with.
    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        match &self.origin {
            Origin::Cursor(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// Refuses a beginning that lies in the future, as of `now_ms`.
    pub(crate) fn check_beginning(&self, now_ms: u64) -> Result<(), Problem> {
        match self.origin {
            Origin::Since(since) => not_in_future(since, now_ms).map(drop),
            _ => Ok(()),
        }
    }
}

/// A parameter that is on or off.
fn switch(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(bad("invalid-query", "The query is not valid", format!("{name} must be 1 or 0"))),
    }
}

/// Whether a request's query asks for plain statuses instead of a shed stream.
pub(crate) fn asks_for_status(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == "errors" && value == "status")
}

/// The cursor that a client came with, as it came, if it can be one of any version: to be handed back to a client that
/// is sent away, whether this node can read it or not.
pub(crate) fn cursor_text<'a>(query: Option<&'a str>, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let header = headers.get("last-event-id").filter(|value| !value.is_empty());
    let text = match header {
        Some(header) => Cow::Borrowed(header.to_str().ok()?),
        None => {
            let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            pairs.filter(|(key, _)| is_last_event_id(key)).last()?.1
        }
    };
    (!text.is_empty() && Cursor::may_be(&text)).then_some(text)
}

fn origin(headers: &HeaderMap, query_cursor: Option<&str>, since: Option<&str>) -> Result<Origin, Problem> {
    // An empty `Last-Event-ID` is what a client sends that has none.
    let header = headers.get("last-event-id").filter(|value| !value.is_empty());
    if let Some(header) = header {
        let parsed = header.to_str().map_err(|_| CursorError::Broken).and_then(str::parse);
        return Ok(match parsed {
            Ok(cursor) => Origin::Cursor(cursor),
            Err(CursorError::Newer { .. }) => Origin::NewerCursor,
            Err(CursorError::Broken) => Origin::UnknownCursor,
        });
    }
    if let Some(text) = query_cursor.filter(|text| !text.is_empty()) {
        let cursor =
            text.parse().map_err(|error: CursorError| bad("invalid-cursor", "Not a cursor", error))?;
        return Ok(Origin::Cursor(cursor));
    }
    match since {
        Some(text) => {
            let since = text.parse().map_err(|error| bad_since(&error))?;
            Ok(Origin::Since(since))
        }
        None => Ok(Origin::Live),
    }
}

/// The topics that a request for a stream asks for, by its query and its headers: the whole of a request is read
/// and checked as `/v1/events` does.
///
/// # Errors
/// The problem that it would be answered with.
pub fn topics_asked_for(query: &str, headers: &HeaderMap, topics_max: usize) -> Result<Vec<Topic>, Problem> {
    Subscription::parse(query, headers, topics_max).map(|subscription| subscription.topics)
}

/// The answer to a `since` that cannot be read.
pub(crate) fn bad_since(error: &sluice_wire::SinceError) -> Problem {
    bad("invalid-since", "Not a beginning", error)
}

/// How far a client's clock may be ahead of this node's. Milliseconds.
const CLOCK_AHEAD_MAX_MS: u64 = 5 * 60 * 1_000;

/// `since`, if it does not lie in the future. One that lies less than five minutes ahead is a client's clock that is ahead:
/// its stream begins with the next event.
fn not_in_future(since: Since, now_ms: u64) -> Result<Since, Problem> {
    let moment_ms = match since {
        Since::After(id) => id.ms,
        Since::At { ms } => ms,
        Since::Earliest | Since::Last(_) | Since::Ago(_) => return Ok(since),
    };
    if moment_ms <= now_ms.saturating_add(CLOCK_AHEAD_MAX_MS) {
        return Ok(since);
    }
    let ahead_s = (moment_ms - now_ms) / 1_000;
    let detail =
        format!("since is {ahead_s} s ahead of this node's clock; leave it out to begin with the next event");
    Err(bad("invalid-since", "Not a beginning", detail))
}

/// A 400 that says what is wrong.
pub(crate) fn bad(slug: &'static str, title: &'static str, detail: impl Display) -> Problem {
    Problem::new(400, slug, title, format!("{detail}"))
}

/// Where each of `topics` begins, and the floor that the client's cursor vouches for; `None` for those that
/// begin with the next event.
pub(crate) async fn starts(
    origin: &Origin,
    topics: &[Topic],
    broker: &dyn Broker,
    now_ms: u64,
) -> Result<Option<(Vec<Start>, u64)>, BrokerError> {
    match origin {
        // The id of an event of one topic is only a moment of the others; a floor is one of all.
        Origin::Cursor(cursor @ Cursor::Plain { .. }) if topics.len() > 1 => {
            let floor_ms = floor_of(cursor);
            let position = topics.first().map_or(EventId::ZERO, |first| cursor.position(first, topics.len()));
            let starts = if position == EventId::ZERO || position.seq == u64::MAX {
                vec![Start::Seen { id: position, floor_ms }; topics.len()]
            } else {
                let points: Vec<_> = topics.iter().map(|topic| (topic.clone(), position)).collect();
                settle_each(broker, &points).await?
            };
            Ok(Some((starts, floor_ms)))
        }
        Origin::Cursor(cursor) => {
            let floor_ms = floor_of(cursor);
            let start = |topic| Start::Seen { id: cursor.position(topic, topics.len()), floor_ms };
            Ok(Some((topics.iter().map(start).collect(), floor_ms)))
        }
        Origin::Since(since) => {
            let starts = resolve_since_each(broker, topics, since, now_ms).await?;
            Ok(Some((starts, floor_of_since(since, now_ms))))
        }
        Origin::Live | Origin::UnknownCursor | Origin::NewerCursor => Ok(None),
    }
}

fn floor_of(cursor: &Cursor) -> u64 {
    match cursor {
        Cursor::Plain { floor_ms, .. } => floor_ms.unwrap_or(0),
        Cursor::Vector(vector) => vector.floor_ms(),
    }
}

/// Of what came before the moment that a client chose, it wants nothing of any topic.
fn floor_of_since(since: &Since, now_ms: u64) -> u64 {
    let moment_ms = match since {
        Since::At { ms } => *ms,
        Since::Ago(age) => now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        Since::After(id) => id.ms,
        Since::Earliest | Since::Last(_) => 0,
    };
    moment_ms.min(settled_ms(now_ms)).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str, last_event_id: Option<&str>) -> Result<Subscription, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(id) = last_event_id {
            headers.insert("last-event-id", id.parse().unwrap());
        }
        Subscription::parse(query, &headers, 3)
    }

    #[test]
    fn the_header_beats_the_query_and_a_cursor_beats_since() {
        let at = |ms| Origin::Cursor(Cursor::from(EventId::at(ms)));
        let all = "topic=a&last_event_id=2-0&since=earliest";
        assert_eq!(parse(all, Some("1-0")).unwrap().origin, at(1));
        assert_eq!(parse(all, Some("")).unwrap().origin, at(2));
        assert_eq!(parse("topic=a&since=earliest", None).unwrap().origin, Origin::Since(Since::Earliest));
        assert_eq!(parse("topic=a", None).unwrap().origin, Origin::Live);
    }

    #[test]
    fn a_beginning_in_the_future_is_refused_unless_a_clock_is_a_little_ahead() {
        let now_ms = 1_790_000_000_000;
        for ahead_ms in [0, CLOCK_AHEAD_MAX_MS] {
            let since = Since::At { ms: now_ms + ahead_ms };
            assert_eq!(not_in_future(since, now_ms).unwrap(), since);
        }
        for since in [
            Since::At { ms: now_ms + CLOCK_AHEAD_MAX_MS + 1 },
            Since::After(EventId::at(now_ms + CLOCK_AHEAD_MAX_MS + 1)),
        ] {
            let problem = not_in_future(since, now_ms).unwrap_err();
            assert!(problem.slug == "invalid-since" && problem.detail.contains("300 s ahead"), "{problem:?}");
        }
        for since in ["9999-01-01T00:00:00Z", "18446744073709551615-0"] {
            let asked = parse(&format!("topic=a&since={since}"), None);
            let problem = asked.and_then(|asked| asked.check_beginning(now_ms)).unwrap_err();
            assert_eq!(problem.slug, "invalid-since", "{since}");
        }
        for since in [Since::Earliest, Since::Last(1), Since::Ago(std::time::Duration::ZERO)] {
            assert_eq!(not_in_future(since, now_ms).unwrap(), since);
        }
    }

    #[test]
    fn a_bad_cursor_is_an_error_in_the_query_only() {
        assert_eq!(parse("topic=a", Some("nonsense")).unwrap().origin, Origin::UnknownCursor);
        assert_eq!(parse("topic=a", Some("v9.x")).unwrap().origin, Origin::NewerCursor);
        assert_eq!(parse("topic=a&last_event_id=nonsense", None).unwrap_err().slug, "invalid-cursor");
    }

    #[test]
    fn the_cursor_is_read_by_each_of_its_spellings() {
        for name in ["last_event_id", "lastEventId", "Last-Event-ID", "last-event-id"] {
            let query = format!("topic=a&{name}=7-0");
            let origin = parse(&query, None).unwrap().origin;
            assert_eq!(origin, Origin::Cursor(Cursor::from(EventId::at(7))), "{name}");
            assert_eq!(cursor_text(Some(&query), &HeaderMap::new()).as_deref(), Some("7-0"), "{name}");
        }
        assert!(parse("topic=a&errors=status&access_token=x&auth=required&", None).is_ok());
    }

    #[test]
    fn cursor_events_are_asked_for() {
        let fires = |query| parse(query, None).unwrap().projection.cursor_events;
        assert_eq!(
            ["topic=a", "topic=a&cursor_events=1", "cursor_events=0&topic=a"].map(fires),
            [false, true, false]
        );
    }

    #[test]
    fn a_cursor_is_handed_back_as_it_came_or_not_at_all() {
        let text = |query, header: Option<&str>| {
            let headers =
                header.map(|id| (http::HeaderName::from_static("last-event-id"), id.parse().unwrap()));
            let headers = HeaderMap::from_iter(headers);
            cursor_text(query, &headers).map(Cow::into_owned)
        };
        assert_eq!(text(None, Some("v9.what-ever~_")).as_deref(), Some("v9.what-ever~_"));
        assert_eq!(text(Some("topic=a&last_event_id=1-0%7E5"), None).as_deref(), Some("1-0~5"));
        assert_eq!(text(Some("last_event_id=1-0"), Some("2-0")).as_deref(), Some("2-0"));
        for foreign in ["two words", "a:b", "<script>", &"x".repeat(Cursor::LEN_MAX + 1)] {
            assert_eq!(text(None, Some(foreign)), None, "{foreign}");
        }
        assert_eq!(text(Some("topic=a"), None), None);
        assert_eq!(text(Some("last_event_id=a%0Ab"), None), None);
    }

    #[test]
    fn each_bad_part_is_named() {
        for (query, slug) in [
            ("", "no-topic"),
            ("topic=", "invalid-topic"),
            ("topic=a%20b", "invalid-topic"),
            ("topic=a&topic=b&topic=c&topic=d", "too-many-topics"),
            ("topic=a&topic=b&topic=c&topic=d&topic=%20", "too-many-topics"),
            ("topic=a&since=yesterday", "invalid-since"),
            ("topic=a&cursor_events=yes", "invalid-query"),
            ("topic=a&auth=no", "invalid-query"),
            ("topic=a&sinse=earliest", "unknown-parameter"),
            ("topic=a&Since=earliest", "unknown-parameter"),
            ("topic=a&limit=1", "unknown-parameter"),
        ] {
            assert_eq!(parse(query, None).unwrap_err().slug, slug, "{query}");
        }
        assert_eq!(parse("topic=a&topic=a&topic=a&topic=a", None).unwrap().topics.len(), 1);
    }
}
