//! One log line for each refused request, as far as there are not too many of them: reason, topic and subject, and
//! never the credentials.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Uri;
use sluice_access::{ClientAddress, RefusedRequest};

/// Lines that may come at once, and how long it takes until one more may.
const LINES_MAX: u32 = 20;
const LINE_EVERY: Duration = Duration::from_secs(1);

/// A topic is shown up to here. Bytes.
const TOPIC_SHOWN_MAX: usize = 200;

/// What the layer remembers between requests. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct RefusalLog(Arc<Mutex<Budget>>);

/// Lines that may still be written.
#[derive(Debug)]
struct Budget {
    lines: u32,
    /// When `lines` was right.
    at: Instant,
    /// Refusals since the last line that got none.
    not_logged: u64,
}

impl Budget {
    /// Takes a line. Returns how many refusals had none before, or nothing where this one has none either.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.at);
        let more = u32::try_from(passed.as_millis() / LINE_EVERY.as_millis()).unwrap_or(u32::MAX);
        if more > 0 {
            self.lines = self.lines.saturating_add(more).min(LINES_MAX);
            self.at = now;
        }
        if self.lines == 0 {
            self.not_logged += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.not_logged))
    }
}

impl RefusalLog {
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Budget { lines: LINES_MAX, at: now, not_logged: 0 })))
    }
}

/// Writes the line of a request that was refused.
pub(super) async fn log(State(log): State<RefusalLog>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let client = request.extensions().get::<ClientAddress>().copied();
    let response = next.run(request).await;
    let Some(RefusedRequest { reason, subject }) = response.extensions().get() else { return response };
    let due = log.0.lock().unwrap_or_else(sluice_failure::poisoned).take(Instant::now());
    if let Some(not_logged) = due {
        tracing::info!(
            reason,
            status = response.status().as_u16(),
            %method,
            topic = topic(&uri),
            subject = subject.as_deref(),
            client = client.map(|client| tracing::field::display(client.0)),
            not_logged = (not_logged > 0).then_some(not_logged),
            "refused a request"
        );
    }
    response
}

/// The first topic of a request, as it was asked for; nothing else of the query is shown.
fn topic(uri: &Uri) -> Option<String> {
    let of_query = || {
        let query = uri.query()?.as_bytes();
        form_urlencoded::parse(query).find(|(name, _)| name == "topic").map(|(_, topic)| topic.into_owned())
    };
    let of_path =
        || uri.path().strip_prefix("/v1/topics/").map(|rest| rest.trim_end_matches("/events").to_owned());
    let mut topic = of_path().or_else(of_query)?;
    topic.truncate(topic.floor_char_boundary(TOPIC_SHOWN_MAX));
    Some(topic.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_the_others_are_counted() {
        let now = Instant::now();
        let mut budget = Budget { lines: LINES_MAX, at: now, not_logged: 0 };
        assert_eq!((0..100).filter(|_| budget.take(now).is_some()).count(), 20);
        assert_eq!(budget.take(now + LINE_EVERY / 2), None);
        assert_eq!(budget.take(now + LINE_EVERY), Some(81));
        assert_eq!(budget.take(now + LINE_EVERY), None);
        assert_eq!((0..100).filter(|_| budget.take(now + LINE_EVERY * 1_000).is_some()).count(), 20);
    }

    #[test]
    fn the_topic_is_shown_and_nothing_else() {
        for (uri, shown) in [
            ("/v1/events?token=eyJ.x.y&topic=a%2Fb&topic=c", Some("a/b")),
            ("/v1/topics/orders/7/events?token=eyJ.x.y", Some("orders/7")),
            ("/v1/events?token=eyJ.x.y", None),
            ("/v1/events?topic=a%0Ab", Some("a b")),
        ] {
            assert_eq!(topic(&uri.parse().unwrap()).as_deref(), shown, "{uri}");
        }
    }
}
