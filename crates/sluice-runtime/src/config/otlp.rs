//! `telemetry.otlp.*`: where spans are sent.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri};

use super::ratio::Ratio;
use super::secret::Secret;
use super::section::Section;

/// The collector, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// `telemetry.otlp.endpoint`: none. `http[s]://host:port`; without it no span is ever made.
    pub endpoint: Option<String>,
    /// `telemetry.otlp.protocol`: "grpc".
    pub protocol: OtlpProtocol,
    /// `telemetry.otlp.headers`: none. Sent with every request; secret.
    pub headers: Vec<(String, Secret)>,
    /// `telemetry.otlp.timeout_ms`: 5,000. How long one export may take, and the last one at the end of the
    /// process.
    pub timeout: Duration,
    /// `telemetry.otlp.queue_max`: 4,096 spans that wait to be sent; what comes beyond is dropped.
    pub queue_max: usize,
    /// `telemetry.otlp.sample_ratio`: 1. Which share of the traces that begin here is recorded; a trace that
    /// came with a request or an event is recorded if it says so.
    pub sample_ratio: Ratio,
}

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC, usually to port 4317.
    Grpc,
    /// Protobuf over HTTP/1.1, usually to port 4318.
    Http,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: OtlpProtocol::Grpc,
            headers: Vec::new(),
            timeout: Duration::from_secs(5),
            queue_max: 4_096,
            sample_ratio: Ratio::ALL,
        }
    }
}

impl Otlp {
    pub(super) fn read(section: &mut Section<'_>, d: &Self) -> Self {
        let endpoint = "must be http://host:port or https://host:port, or nothing for no traces";
        let protocols = [("grpc", OtlpProtocol::Grpc), ("http", OtlpProtocol::Http)];
        let headers = "must be a table of headers, or \"name=value,name=value\"";
        let default = d.endpoint.clone().unwrap_or_default();
        let endpoint = section.text("otlp.endpoint", default, endpoint, check_endpoint);
        Self {
            endpoint: (!endpoint.is_empty()).then_some(endpoint),
            protocol: section.choice("otlp.protocol", d.protocol, &protocols),
            headers: section.secret_pairs("otlp.headers", headers, parse_header),
            timeout: section.millis("otlp.timeout_ms", d.timeout, 100..=60_000),
            queue_max: section.integer("otlp.queue_max", d.queue_max, 1..=1_000_000),
            sample_ratio: section.ratio("otlp.sample_ratio", d.sample_ratio),
        }
    }
}

/// None of the answers repeats any part of `text`: it may hold a login.
fn check_endpoint(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let uri: Uri = text.parse().map_err(|_| String::new())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(String::new());
    }
    let authority = uri.authority().ok_or(String::new())?.as_str();
    if authority.contains('@') {
        return Err("a login belongs into telemetry.otlp.headers".to_owned());
    }
    if uri.port_u16().is_none() || uri.query().is_some() { Err(String::new()) } else { Ok(()) }
}

fn parse_header(name: &str, value: &str) -> Result<Secret, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a name is no header name".to_owned())?;
    HeaderValue::from_str(value).map_err(|_| "a value cannot stand in a header".to_owned())?;
    Ok(Secret::new(value.to_owned()))
}
