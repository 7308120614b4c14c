//! Publishing through the HTTP routes of the publisher.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_wire::EventId;

use crate::http::request;

/// Publishes `data` as it is and returns the id that Redis gave it; anything but `200` and `201` is an error.
pub async fn publish_http(address: SocketAddr, topic: &str, data: &str) -> Result<EventId> {
    publish_with(address, topic, data, &[]).await
}

/// As [`publish_http`], with header fields such as `("idempotency-key", "order-7")`.
pub async fn publish_with(
    address: SocketAddr,
    topic: &str,
    data: &str,
    headers: &[(&str, &str)],
) -> Result<EventId> {
    let mut all = vec![("content-type", "text/plain")];
    all.extend_from_slice(headers);
    let path = format!("/v1/topics/{topic}/events");
    let response = request(address, "POST", &path, &all, data.to_owned()).await?;
    ensure!(matches!(response.status, 200 | 201), "{topic}: {} {}", response.status, response.text());
    id_of(&response.json()?)
}

/// Publishes `(topic, data)` lines in one NDJSON batch; returns what became of each, in order.
pub async fn publish_batch(address: SocketAddr, lines: &[(&str, &str)]) -> Result<Vec<Result<EventId>>> {
    let mut body = String::new();
    for (topic, data) in lines {
        let _ = writeln!(body, "{}", json!({ "topic": topic, "data": data }));
    }
    let headers = [("content-type", "application/x-ndjson")];
    let response = request(address, "POST", "/v1/events", &headers, body).await?;
    ensure!(matches!(response.status, 200 | 207), "{} {}", response.status, response.text());
    let answer = response.json()?;
    let results = answer.get("results").and_then(Value::as_array).context("no results in the answer")?;
    ensure!(results.len() == lines.len(), "{} results for {} lines", results.len(), lines.len());
    Ok(results.iter().map(id_of).collect())
}

/// The id in an answer of the publisher.
fn id_of(answer: &Value) -> Result<EventId> {
    let id = answer.get("id").and_then(Value::as_str).with_context(|| format!("no id in {answer}"))?;
    id.parse().with_context(|| format!("{id:?} is no event id"))
}
