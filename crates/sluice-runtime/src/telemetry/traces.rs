//! Traces: the spans of this process on their way to an OTLP collector.
//!
//! Without an endpoint nothing of this exists: no provider, queue, task or connection. With one, ending a span
//! is a push into a bounded queue, and a single task takes them out and sends them; so nobody who makes a span
//! ever waits for the collector, and a dead one costs what the queue does not take.

mod connect;
mod export;
mod queue;
mod transport;

use std::time::Duration;

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::export::Export;
use self::queue::Queue;
use self::transport::Transport;
use super::metric;
use crate::config::{self, Role};

/// Spans that are made through `opentelemetry::global` are sent as long as this is not finished.
#[derive(Debug)]
pub struct Traces {
    /// Of its own: the last spans come from what the process's tracker waits for.
    exporting: TaskTracker,
    closing: CancellationToken,
}

/// Why spans cannot be sent anywhere.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is none. Never holds it.
    #[error("must be a URL such as http://collector:4317")]
    Endpoint,
    /// A header is none. Never holds its value.
    #[error("the header {0:?} has a name or a value that HTTP does not allow")]
    Header(String),
    /// The endpoint is https, and the system trusts nobody.
    #[error(
        "needs authorities to trust for https, and this system names none; SSL_CERT_FILE may name a file"
    )]
    Authorities,
    /// TLS cannot be spoken.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
}

impl TracesError {
    /// The key of the configuration that is wrong.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Header(_) => "telemetry.otlp.headers",
            Self::Endpoint | Self::Authorities | Self::Tls(_) => "telemetry.otlp.endpoint",
        }
    }
}

impl Traces {
    /// Whether spans could be sent with `settings`, as far as it shows without a connection.
    ///
    /// # Errors
    /// As [`Traces::start`].
    pub fn check(settings: &config::Telemetry) -> Result<(), TracesError> {
        let otlp = &settings.otlp;
        otlp.endpoint
            .as_ref()
            .map_or(Ok(()), |endpoint| Transport::check(endpoint, otlp.protocol, &otlp.headers))
    }

    /// Makes the process's spans go to the collector of `settings`; `None` when there is none. Once a process,
    /// before anything takes a tracer, in the runtime that serves it.
    ///
    /// # Errors
    /// If the endpoint or a header cannot be used. Whether the collector is there is not looked at.
    pub fn start(settings: &config::Telemetry, role: Role) -> Result<Option<Self>, TracesError> {
        let outcome = |outcome| metric::TRACE_SPANS.counter(&[("outcome", outcome)]);
        let outcomes = [outcome("exported"), outcome("dropped"), outcome("failed")];
        let otlp = &settings.otlp;
        let Some(endpoint) = &otlp.endpoint else { return Ok(None) };
        let transport = Transport::new(endpoint, otlp.protocol, &otlp.headers)?;
        let (spans, queue) = mpsc::channel(otlp.queue_max);
        let resource = resource(settings, role);
        let closing = CancellationToken::new();
        let [exported, dropped, failed] = outcomes;
        let export = Export::new(queue, transport, &resource, otlp.timeout, closing.clone());
        let exporting = TaskTracker::new();
        exporting.spawn(export.counting(exported, failed).run());
        let ratio = Sampler::TraceIdRatioBased(otlp.sample_ratio.get());
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_resource(resource)
            .with_span_processor(Queue::new(spans, dropped))
            .build();
        global::set_tracer_provider(provider);
        tracing::info!(endpoint, ratio = otlp.sample_ratio.get(), "sending traces");
        Ok(Some(Self { exporting, closing }))
    }

    /// Sends what is queued, each batch once, for at most `within` altogether. Spans that end later are dropped.
    pub async fn finish(self, within: Duration) {
        self.closing.cancel();
        self.exporting.close();
        if tokio::time::timeout(within, self.exporting.wait()).await.is_err() {
            tracing::warn!("could not send the last spans in time; they are lost");
        }
    }
}

/// What every span says about this process. Names: OpenTelemetry semantic conventions.
fn resource(settings: &config::Telemetry, role: Role) -> Resource {
    let system = rustix::system::uname();
    let known = [
        KeyValue::new("service.name", format!("sluice-{}", role.as_str())),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance_id()),
        KeyValue::new("host.name", system.nodename().to_string_lossy().into_owned()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    let configured = settings.resource_attributes.iter();
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(known)
        .with_attributes(configured.map(|(name, value)| KeyValue::new(name.clone(), value.clone())))
        .build()
}

/// A random UUID. Source: RFC 9562, section 5.4.
fn instance_id() -> String {
    let random = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes());
    let uuid = random & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let part = |shift: u32, bits: u32| (uuid >> shift) & ((1 << bits) - 1);
    let [a, b, c, d, e] = [part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48)];
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_an_id_of_its_own() {
        let (one, other) = (instance_id(), instance_id());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert!(["8", "9", "a", "b"].contains(&&one[19..20]), "{one}");
    }

    #[test]
    fn what_is_configured_wins_over_what_is_known() {
        let resource_attributes =
            vec![("service.name".into(), "edge".into()), ("deployment.environment.name".into(), "x".into())];
        let settings = config::Telemetry { resource_attributes, ..config::Telemetry::default() };
        let resource = resource(&settings, Role::Gateway);
        let value = |name: &'static str| resource.get(&name.into()).map(|value| value.to_string());
        assert_eq!(value("service.name").as_deref(), Some("edge"));
        assert_eq!(value("deployment.environment.name").as_deref(), Some("x"));
        assert_eq!(value("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(value("telemetry.sdk.language").as_deref(), Some("rust"));
        assert!(value("host.name").is_some() && value("process.pid").is_some());
    }
}
