//! What `publish.lua` reports about an event that is in the log all the same: counted, and logged once a minute for each
//! kind, since one broken topic can produce a report with every event.

use std::sync::Mutex;
use std::time::Duration;

use metrics::counter;
use redis::Value;
use sluice_wire::Topic;
use tokio::time::Instant;

use super::parse;

const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The kinds of report, each with what it means and what to do.
const KINDS: [(&str, &str); 5] = [
    (
        "last-id-ahead",
        "the log holds an id that is far ahead of Redis's clock: something else than Sluice added it. Events are \
         appended behind it, but their ids tell no time; delete or rename the log to be rid of it",
    ),
    (
        "not-announced",
        "Redis refused to announce an event on the live channel: allow the user the channel and PUBLISH",
    ),
    ("not-trimmed", "Redis refused to trim a log by age: allow the user XTRIM and XRANGE"),
    ("not-expiring", "Redis refused to let a log expire: allow the user PEXPIRE"),
    ("not-remembered", "Redis refused to remember an idempotency key: a retry may publish the event again"),
];

/// A counter of reports with rate-limited logging.
#[derive(Debug)]
pub(super) struct Reports {
    /// By kind: when it was last logged, and how many came since.
    logged: Mutex<[(Option<Instant>, u64); KINDS.len()]>,
}

impl Reports {
    pub(super) fn new() -> Self {
        for (kind, _) in KINDS {
            counter!("sluice_append_reports_total", "report" => kind).increment(0);
        }
        Self { logged: Mutex::default() }
    }

    /// Counts what `report`, a list of kinds, says about an event of `topic`.
    pub(super) fn take(&self, report: &Value, topic: &Topic) {
        let Value::Array(kinds) = report else { return };
        let kinds = kinds.iter().filter_map(parse::text);
        for (at, (kind, meaning)) in
            kinds.filter_map(|told| KINDS.iter().enumerate().find(|(_, (kind, _))| *kind == told))
        {
            counter!("sluice_append_reports_total", "report" => *kind).increment(1);
            if let Some(events) = self.due(at, Instant::now()) {
                tracing::warn!(report = kind, %topic, events, "{meaning}");
            }
        }
    }

    /// How many reports of the kind to log now; `None` if it was logged a moment ago.
    fn due(&self, kind: usize, now: Instant) -> Option<u64> {
        let mut logged = self.logged.lock().unwrap_or_else(sluice_failure::poisoned);
        let (at, since) = logged.get_mut(kind)?;
        *since += 1;
        if at.is_some_and(|at| now < at + LOGGED_EVERY) {
            return None;
        }
        *at = Some(now);
        Some(std::mem::take(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_logged_once_a_minute_with_its_count() {
        let (reports, now) = (Reports::new(), Instant::now());
        assert_eq!([0, 0, 1, 0].map(|kind| reports.due(kind, now)), [Some(1), None, Some(1), None]);
        assert_eq!(reports.due(0, now + LOGGED_EVERY), Some(3));
    }
}
