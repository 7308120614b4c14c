//! `[topics]`: how long events are kept, and what a node keeps of the topics it serves.

use std::time::Duration;

use figment::value::{Dict, Value};
use sluice_wire::cursor::Cursor;
use sluice_wire::{Topic, TopicPattern};

use super::raw;
use super::section::Section;
use super::takes::{Column, Form, Takes};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const RETENTION_EVENTS_MAX: u64 = 1_000_000_000;
const RETENTION_S_MAX: u64 = 10 * 365 * 86_400;

/// Retention, windows and the tail check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// `topics.retention_events_max`: 10,000; `topics.retention_age_max_s`: 86,400; `topics.idle_expiry_s`:
    /// 0. What a topic keeps unless a rule says otherwise.
    pub retention: Retention,
    /// `topics.rules`: none. Exceptions by topic pattern; the first that matches counts.
    pub rules: Vec<TopicRule>,
    /// `topics.event_bytes_max`: 256 KiB. The largest data of one event.
    pub event_bytes_max: usize,
    /// `topics.per_stream_max`: 64 topics in one stream.
    pub per_stream_max: usize,
    /// `topics.linger_ms`: 10,000. How long a topic without streams stays subscribed.
    pub linger: Duration,
    /// `topics.tail_check_interval_ms`: 1,000. How often an active topic is compared with its log.
    pub tail_check_interval: Duration,
    /// `topics.tail_check_keys_per_second`: 5,000. What all tail checks of a node may ask of Redis; with more
    /// topics the interval stretches.
    pub tail_check_keys_per_second: u32,
    /// `topics.window_events_max`: 1,024 recent events of a topic in memory.
    pub window_events_max: usize,
    /// `topics.window_bytes_max`: 1 MiB of recent events of a topic in memory.
    pub window_bytes_max: usize,
    /// `topics.windows_bytes_max`: 64 MiB for the windows of all topics of a node.
    pub windows_bytes_max: usize,
    /// `topics.idempotency_window_ms`: 300,000. How long an idempotency key is remembered.
    pub idempotency_window: Duration,
}

/// What a topic keeps of its past. Redis trims whole nodes of a stream, so a little more may remain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At most so many events; `None` (0 in a file) for any number.
    pub events_max: Option<u64>,
    /// None older than this; `None` (0) for any age.
    pub age_max: Option<Duration>,
    /// The whole topic goes when nothing was published for so long; `None` (0) never.
    pub idle_expiry: Option<Duration>,
}

/// An exception for some topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRule {
    /// The topics.
    pub pattern: TopicPattern,
    /// What they keep; what the rule leaves out is as for all topics.
    pub retention: Retention,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            retention: Retention {
                events_max: Some(10_000),
                age_max: Some(Duration::from_secs(86_400)),
                idle_expiry: None,
            },
            rules: Vec::new(),
            event_bytes_max: 256 * KIB,
            per_stream_max: 64,
            linger: Duration::from_secs(10),
            tail_check_interval: Duration::from_secs(1),
            tail_check_keys_per_second: 5_000,
            window_events_max: 1_024,
            window_bytes_max: MIB,
            windows_bytes_max: 64 * MIB,
            idempotency_window: Duration::from_secs(300),
        }
    }
}

impl Topics {
    /// What `topic` keeps.
    #[must_use]
    pub fn retention_of(&self, topic: &Topic) -> Retention {
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(topic));
        rule.map_or(self.retention, |rule| rule.retention)
    }

    pub(super) fn read(section: &mut Section<'_>, d: &Self) -> Self {
        let events_max = section.integer(
            "retention_events_max",
            d.retention.events_max.unwrap_or(0),
            0..=RETENTION_EVENTS_MAX,
        );
        let retention = Retention {
            events_max: (events_max > 0).then_some(events_max),
            age_max: section.seconds_or_off("retention_age_max_s", d.retention.age_max, RETENTION_S_MAX),
            idle_expiry: section.seconds_or_off("idle_expiry_s", d.retention.idle_expiry, RETENTION_S_MAX),
        };
        Self {
            retention,
            rules: section.tables(
                "rules",
                Takes::new(Form::Tables(TopicRule::columns()), RULES),
                TopicRule::literal,
                |table| TopicRule::read(table, retention),
            ),
            event_bytes_max: section.bytes("event_bytes_max", d.event_bytes_max, 1..=64 * MIB),
            per_stream_max: section.integer("per_stream_max", d.per_stream_max, 1..=Cursor::TOPICS_MAX),
            linger: section.millis("linger_ms", d.linger, 0..=3_600_000),
            tail_check_interval: section.millis("tail_check_interval_ms", d.tail_check_interval, 50..=60_000),
            tail_check_keys_per_second: section.integer(
                "tail_check_keys_per_second",
                d.tail_check_keys_per_second,
                1..=10_000_000,
            ),
            window_events_max: section.integer("window_events_max", d.window_events_max, 1..=1_000_000),
            window_bytes_max: section.bytes("window_bytes_max", d.window_bytes_max, KIB..=1_024 * MIB),
            windows_bytes_max: section.bytes("windows_bytes_max", d.windows_bytes_max, KIB..=1 << 40),
            idempotency_window: section.millis(
                "idempotency_window_ms",
                d.idempotency_window,
                1_000..=86_400_000,
            ),
        }
    }
}

const RULES: &str = "must be an array of tables such as { pattern = \"chat/**\", retention_events_max = 100, \
                     retention_age_max_s = 3600, idle_expiry_s = 0 }";

impl TopicRule {
    fn columns() -> Vec<Column> {
        let number = |most, unit| Form::Number { least: 0, most, unit };
        vec![
            Column::required("pattern", Form::Text),
            Column::optional("retention_events_max", number(RETENTION_EVENTS_MAX, None)),
            Column::optional("retention_age_max_s", number(RETENTION_S_MAX, Some("s"))),
            Column::optional("idle_expiry_s", number(RETENTION_S_MAX, Some("s"))),
        ]
    }

    fn read(table: &Dict, default: Retention) -> Result<Self, String> {
        let mut retention = default;
        for (key, value) in table {
            match key.as_str() {
                "retention_events_max" => retention.events_max = limit(key, value, RETENTION_EVENTS_MAX)?,
                "retention_age_max_s" => retention.age_max = seconds(key, value)?,
                "idle_expiry_s" => retention.idle_expiry = seconds(key, value)?,
                _ => {}
            }
        }
        Ok(Self { pattern: pattern(table)?, retention })
    }

    fn literal(&self) -> String {
        let seconds = |duration: Option<Duration>| duration.map_or(0, |d| d.as_secs());
        format!(
            "{{ pattern = {}, retention_events_max = {}, retention_age_max_s = {}, idle_expiry_s = {} }}",
            raw::quoted(self.pattern.as_str()),
            self.retention.events_max.unwrap_or(0),
            seconds(self.retention.age_max),
            seconds(self.retention.idle_expiry),
        )
    }
}

fn pattern(table: &Dict) -> Result<TopicPattern, String> {
    let text = table.get("pattern").and_then(raw::text).ok_or("its pattern must be a text")?;
    TopicPattern::parse(&text).map_err(|error| error.to_string())
}

/// A number where 0 switches off.
fn limit(key: &str, value: &Value, most: u64) -> Result<Option<u64>, String> {
    let number = raw::text(value).and_then(|text| text.parse().ok()).filter(|number| *number <= most);
    let number: u64 = number.ok_or_else(|| format!("{key} must be a whole number from 0 to {most}"))?;
    Ok((number > 0).then_some(number))
}

fn seconds(key: &str, value: &Value) -> Result<Option<Duration>, String> {
    Ok(limit(key, value, RETENTION_S_MAX)?.map(Duration::from_secs))
}
