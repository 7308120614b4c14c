//! One OTLP request to the collector, over gRPC or as protobuf over HTTP/1.1, and what its answer means.
//!
//! Source: OTLP specification 1.x, sections "OTLP/gRPC Response" and "OTLP/HTTP Response" (which failures pass).

use std::error::Error;
use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::TracesError;
use super::connect::Connector;
use crate::config::{OtlpProtocol, Secret};

/// What the collector answers has at most this many bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const HTTP_PATH: &str = "/v1/traces";

/// See the module. Connects with its first request and again whenever it must.
pub(super) enum Transport {
    Grpc { client: TraceServiceClient<Channel>, headers: MetadataMap },
    Http { client: Box<Client<Connector, Full<Bytes>>>, uri: Uri, headers: HeaderMap },
}

/// Why a request was not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same request may be taken later.
    Passing(String),
    /// It will be refused again.
    Final(String),
}

impl Transport {
    pub(super) fn new(
        endpoint: &str,
        protocol: OtlpProtocol,
        headers: &[(String, Secret)],
    ) -> Result<Self, TracesError> {
        let headers = header_map(headers)?;
        match protocol {
            OtlpProtocol::Grpc => {
                let endpoint =
                    Endpoint::from_shared(endpoint.to_owned()).map_err(|_| TracesError::Endpoint)?;
                let connector = Connector::new(endpoint.uri(), "h2")?;
                let client = TraceServiceClient::new(endpoint.connect_with_connector_lazy(connector));
                Ok(Self::Grpc { client, headers: MetadataMap::from_headers(headers) })
            }
            OtlpProtocol::Http => {
                let uri = http_uri(endpoint).parse().map_err(|_| TracesError::Endpoint)?;
                let connector = Connector::new(&uri, "http/1.1")?;
                let client = Box::new(Client::builder(TokioExecutor::new()).build(connector));
                Ok(Self::Http { client, uri, headers })
            }
        }
    }

    /// What [`Transport::new`] would fail with, outside of a runtime.
    pub(super) fn check(
        endpoint: &str,
        protocol: OtlpProtocol,
        headers: &[(String, Secret)],
    ) -> Result<(), TracesError> {
        header_map(headers)?;
        let uri: Uri = match protocol {
            OtlpProtocol::Grpc => {
                Endpoint::from_shared(endpoint.to_owned()).map_err(|_| TracesError::Endpoint)?.uri().clone()
            }
            OtlpProtocol::Http => http_uri(endpoint).parse().map_err(|_| TracesError::Endpoint)?,
        };
        Connector::new(&uri, "http/1.1").map(drop)
    }

    /// Sends `request`; how many of its spans the collector rejected.
    pub(super) async fn send(&mut self, request: &ExportTraceServiceRequest) -> Result<u64, Failure> {
        let response = match self {
            Self::Grpc { client, headers } => {
                let mut request = tonic::Request::new(request.clone());
                *request.metadata_mut() = headers.clone();
                client.export(request).await.map_err(|status| Failure::of_status(&status))?.into_inner()
            }
            Self::Http { client, uri, headers } => {
                let mut post = Request::post(uri.clone());
                if let Some(of_post) = post.headers_mut() {
                    of_post.clone_from(headers);
                    of_post.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                }
                let body = Full::new(Bytes::from(request.encode_to_vec()));
                let post = post.body(body).map_err(|error| Failure::Final(error.to_string()))?;
                let response = client.request(post).await.map_err(|error| Failure::Passing(chain(&error)))?;
                let status = response.status();
                let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
                let answer = answer.map_err(|error| Failure::Passing(chain(error.as_ref())))?.to_bytes();
                if !status.is_success() {
                    return Err(Failure::of_code(status));
                }
                // What a collector answers beyond its status is its own affair.
                ExportTraceServiceResponse::decode(answer).unwrap_or_default()
            }
        };
        let rejected = response.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

impl Failure {
    fn of_status(status: &Status) -> Self {
        let mut why = format!("gRPC status {:?}: {}", status.code(), status.message());
        if let Some(source) = status.source() {
            let _ = write!(why, ": {}", chain(source));
        }
        match status.code() {
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Unimplemented => Self::Final(why),
            // What the connection did wrong comes as Unknown or Internal.
            _ => Self::Passing(why),
        }
    }

    fn of_code(status: StatusCode) -> Self {
        let why = format!("HTTP status {status}");
        match status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Passing(why),
            _ => Self::Final(why),
        }
    }
}

fn header_map(headers: &[(String, Secret)]) -> Result<HeaderMap, TracesError> {
    let header = |(name, value): &(String, Secret)| {
        let refused = || TracesError::Header(name.clone());
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| refused())?;
        value.set_sensitive(true);
        Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?, value))
    };
    headers.iter().map(header).collect()
}

/// The path of traces behind the collector's address, unless it stands there already.
fn http_uri(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(HTTP_PATH) { base.to_owned() } else { format!("{base}{HTTP_PATH}") }
}

/// An error and what is behind it, in one line: these libraries put the reason last.
fn chain(error: &(dyn Error + 'static)) -> String {
    sluice_diagnostics::explain(error, "SSL_CERT_FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_have_a_path_of_their_own() {
        for endpoint in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(http_uri(endpoint), "http://c:4318/v1/traces");
        }
        assert_eq!(http_uri("http://c:1/otlp"), "http://c:1/otlp/v1/traces");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (code, passes) in [(503, true), (429, true), (400, false), (401, false), (404, false)] {
            let failure = Failure::of_code(StatusCode::from_u16(code).unwrap());
            assert_eq!(matches!(failure, Failure::Passing(_)), passes, "{code}");
        }
        for (code, passes) in
            [(Code::Unavailable, true), (Code::Unknown, true), (Code::Unauthenticated, false)]
        {
            let failure = Failure::of_status(&Status::new(code, "no"));
            assert_eq!(matches!(failure, Failure::Passing(_)), passes, "{code:?}");
        }
    }

    #[test]
    fn a_header_is_not_shown() {
        let headers = header_map(&[("authorization".into(), Secret::new("Bearer hunter2".into()))]).unwrap();
        assert_eq!(headers["authorization"], "Bearer hunter2");
        assert!(!format!("{headers:?}").contains("hunter2"));
        let error = header_map(&[("a".into(), Secret::new("hunter2\n".into()))]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
