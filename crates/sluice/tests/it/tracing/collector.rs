//! An OTLP receiver of the tests' own: tonic's gRPC server or a plain HTTP route, and what came in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use sluice_testkit::eventually;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;

use crate::stage::SOON;

/// A span as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) span: Span,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Seen>,
    authorization: Vec<String>,
}

/// A receiver on a free port; it serves until the test ends.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    pub(crate) async fn grpc() -> Self {
        let (listener, collector) = Self::bind().await;
        let incoming = TcpIncoming::from(listener);
        let service = TraceServiceServer::new(collector.clone());
        let server = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        TaskTracker::new().spawn(server);
        collector
    }

    pub(crate) async fn http() -> Self {
        let (listener, collector) = Self::bind().await;
        let taken = collector.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
            let protobuf = headers.get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
            match ExportTraceServiceRequest::decode(body) {
                Ok(request) if protobuf => {
                    taken.take(request, authorization);
                    (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
                }
                _ => (StatusCode::BAD_REQUEST, Vec::new()),
            }
        };
        let router = Router::new().route("/v1/traces", post(take));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        collector
    }

    async fn bind() -> (TcpListener, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, Self { address, received: Arc::default() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come in so far.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.received.lock().unwrap().spans.clone()
    }

    /// The values of every `authorization` header.
    pub(crate) fn authorization(&self) -> Vec<String> {
        self.received.lock().unwrap().authorization.clone()
    }

    /// The spans of `trace`, as soon as it has those of `names`, so often as they stand there and no others.
    pub(crate) async fn trace(&self, trace: &str, names: &[&str]) -> Vec<Seen> {
        let mut expected = names.to_vec();
        expected.sort_unstable();
        let look = async || -> Result<Vec<Seen>> {
            let spans: Vec<Seen> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            let mut found: Vec<&str> = spans.iter().map(Seen::name).collect();
            found.sort_unstable();
            ensure!(found == expected, "trace {trace} has {found:?}, not {expected:?}");
            Ok(spans)
        };
        eventually("a whole trace", SOON, look).await.unwrap()
    }

    fn take(&self, request: ExportTraceServiceRequest, authorization: Option<&str>) {
        let mut received = self.received.lock().unwrap();
        received.authorization.extend(authorization.map(str::to_owned));
        for of_resource in request.resource_spans {
            let resource =
                of_resource.resource.map(|resource| texts(&resource.attributes)).unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                received.spans.push(Seen {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: texts(&span.attributes),
                    resource: resource.clone(),
                    span,
                });
            }
        }
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        let authorization = metadata.get("authorization").and_then(|value| value.to_str().ok());
        self.take(request, authorization);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Seen {
    pub(crate) fn name(&self) -> &str {
        &self.span.name
    }

    /// An attribute of the span, as text.
    pub(crate) fn says(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Which process made it.
    pub(crate) fn instance(&self) -> &str {
        &self.resource["service.instance.id"]
    }

    pub(crate) fn service(&self) -> &str {
        &self.resource["service.name"]
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    };
    attributes.iter().filter_map(|one| Some((one.key.clone(), text(one)?))).collect()
}
