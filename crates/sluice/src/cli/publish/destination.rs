//! Where events go: to a node's HTTP service, or through the publishing library straight into Redis.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode, header};
use serde_json::Value;
use sluice_broker::{BrokerSettings, BrokerUrl, Retention, RetentionPolicies};
use sluice_publisher::{Publisher, PublisherSettings};
use sluice_wire::NewEvent;
use tokio_util::task::TaskTracker;

use crate::cli::http::{Client, refusal, text};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A place to publish to.
pub(super) enum Destination {
    Http { client: Client, authorization: Option<HeaderValue> },
    Redis(Publisher),
}

/// Why an event was not published.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Trying again later may help.
    pub(super) transient: bool,
}

impl Failure {
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), transient: false }
    }

    fn unavailable(why: impl Into<String>) -> Self {
        Self { why: why.into(), transient: true }
    }
}

impl Destination {
    /// The destination at `url`; `prefix` is that of the keys, where it is Redis, and `authorization` what is sent
    /// to a node. Nothing is connected yet.
    pub(super) fn open(
        url: &str,
        prefix: &str,
        authorization: Option<HeaderValue>,
        tracker: &TaskTracker,
    ) -> anyhow::Result<Self> {
        if url.starts_with("http:") || url.starts_with("https:") {
            return Ok(Self::Http { client: Client::new(url.parse()?, tracker.clone()), authorization });
        }
        let url: BrokerUrl =
            url.parse().context("--url is http://host:port, https://host or redis://host:port")?;
        if url.is_memory() {
            bail!("memory:// lives inside a node; give the node's address, http://host:port");
        }
        let mut settings = BrokerSettings::new(url);
        prefix.clone_into(&mut settings.redis.prefix);
        // What a topic keeps is the nodes' configuration; an append from here must not trim by other rules.
        settings.retention = RetentionPolicies::uniform(Retention::UNLIMITED);
        let broker = sluice_broker::connect(settings, tracker)?;
        Ok(Self::Redis(Publisher::start(broker, PublisherSettings::default(), tracker)))
    }

    /// Publishes `events`; an id or a failure each, or one failure for all.
    pub(super) async fn publish(
        &mut self,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Result<String, Failure>>, Failure> {
        match self {
            Self::Http { client, authorization } => post(client, authorization.as_ref(), &events).await,
            Self::Redis(publisher) => {
                let results = publisher.publish_all(events).await.into_iter();
                let failure = |error: sluice_publisher::PublishError| Failure {
                    transient: error.is_transient(),
                    why: error.to_string(),
                };
                Ok(results
                    .map(|result| result.map(|appended| appended.id.to_string()).map_err(failure))
                    .collect())
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Redis(publisher) = self {
            publisher.close().await;
        }
    }
}

async fn post(
    client: &mut Client,
    authorization: Option<&HeaderValue>,
    events: &[NewEvent],
) -> Result<Vec<Result<String, Failure>>, Failure> {
    let body: String = events.iter().map(json_line).collect();
    let mut request = Request::post("/v1/events")
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(Bytes::from(body))
        .map_err(|error| Failure::refused(error.to_string()))?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    let response =
        client.send(request, ANSWER_WITHIN).await.map_err(|error| Failure::unavailable(error.to_string()))?;
    let status = response.status();
    if !matches!(status, StatusCode::OK | StatusCode::MULTI_STATUS) {
        let why = refusal(status, response.into_body()).await;
        // A proxy on the way says 502 and 504 when what stands behind it is away.
        let transient = matches!(status.as_u16(), 408 | 429 | 502..=504);
        return Err(Failure { why, transient });
    }
    let body = text(response.into_body()).await.map_err(|error| Failure::unavailable(error.to_string()))?;
    results(&body, events.len()).ok_or_else(|| Failure::refused("the answer is not one of Sluice's"))
}

fn json_line(event: &NewEvent) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let mut line = format!("{{\"topic\":{},\"data\":{}", text(event.topic.as_str()), text(&event.data));
    if let Some(event_type) = &event.event_type {
        line += &format!(",\"type\":{}", text(event_type.as_str()));
    }
    if let Some(key) = &event.key {
        line += &format!(",\"key\":{}", text(key.as_str()));
    }
    line + "}\n"
}

/// The results of a batch of `count` events; `None` if `body` is something else.
fn results(body: &str, count: usize) -> Option<Vec<Result<String, Failure>>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let results = body.get("results")?.as_array().filter(|results| results.len() == count)?;
    results.iter().map(result).collect()
}

fn result(result: &Value) -> Option<Result<String, Failure>> {
    // An event that is in the log on too few replicas has both an id and an error.
    let Some(error) = result.get("error") else {
        return Some(Ok(result.get("id")?.as_str()?.to_owned()));
    };
    let title = error.get("title")?.as_str()?;
    let why = match error.get("detail").and_then(Value::as_str) {
        Some(detail) => format!("{title}: {detail}"),
        // Of many errors only the first are told in full.
        None => title.to_owned(),
    };
    Some(Err(Failure { why, transient: matches!(error.get("status")?.as_u64()?, 429 | 503) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::{EventType, IdempotencyKey, Topic};

    #[test]
    fn a_line_reads_back_as_its_event() {
        let mut event = NewEvent::new(Topic::parse("a/b").unwrap(), "x\n\"{é\u{2028}");
        assert_eq!(sluice_publisher::read_event(&json_line(&event), None).as_ref(), Ok(&event));
        event.event_type = Some(EventType::parse("t\"").unwrap());
        event.key = Some(IdempotencyKey::parse("k\\").unwrap());
        assert_eq!(sluice_publisher::read_event(&json_line(&event), None).as_ref(), Ok(&event));
    }

    #[test]
    fn an_answer_has_a_result_for_each_event_or_is_none() {
        let body = r#"{"results":[{"id":"1-0"},{"line":2,"error":{"title":"T","status":503,"detail":"d"}},{"id":"2-0","unconfirmed":true,"error":{"title":"R","status":503}}]}"#;
        let read = results(body, 3).unwrap();
        assert!(matches!(&read[2], Err(failure) if failure.transient && failure.why == "R"));
        assert!(matches!(&read[0], Ok(id) if id == "1-0"));
        assert!(matches!(&read[1], Err(failure) if failure.transient && failure.why == "T: d"));
        for (body, count) in [(body, 1), ("{}", 0), ("<html>", 1), (r#"{"results":[{}]}"#, 1)] {
            assert!(results(body, count).is_none());
        }
    }
}
