//! HTTP/1.1 as a test needs it: one request and its whole answer, each on a connection of its own.
//!
//! The protocol is hyper's client, which shares no code with what Sluice writes by hand; what must be malformed,
//! pipelined or half-closed goes through [`RawConnection`](crate::RawConnection).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a whole exchange may take.
const WITHIN: Duration = Duration::from_secs(30);

/// The whole answer to a request.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, chunks joined.
    pub body: Bytes,
}

impl Response {
    /// A header field as text; `None` where it is missing or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text, with replacement characters where it is none.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The answer itself if it has this status, else an error that shows the body.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "expected {status}, got {}: {}", self.status, self.text());
        Ok(self)
    }
}

/// `GET path`, without header fields of its own.
pub async fn get(address: SocketAddr, path: &str) -> Result<Response> {
    request(address, "GET", path, &[], "").await
}

/// Sends one request and reads the whole answer, within 30 seconds.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Response> {
    let request = build(address, method, path, headers, Version::HTTP_11, body.into())?;
    let exchange = async {
        let stream = connect(address, None).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
        };
        // What went wrong with the connection is what the exchange fails with, too.
        let (response, _) = tokio::join!(exchange, connection);
        response
    };
    let what = || format!("{method} http://{address}{path}");
    timeout(WITHIN, exchange)
        .await
        .with_context(|| format!("{} took over {WITHIN:?}", what()))?
        .with_context(what)
}

/// A request with the `host` field that HTTP/1.1 demands.
pub(crate) fn build(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    version: Version,
    body: Bytes,
) -> Result<hyper::Request<Full<Bytes>>> {
    let mut request = hyper::Request::builder().method(method).version(version);
    if version == Version::HTTP_2 {
        // HTTP/2 says in the target what HTTP/1.1 says in `host`.
        request = request.uri(format!("https://{address}{path}"));
    } else {
        request = request.uri(path);
    }
    if version != Version::HTTP_2 && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body)).with_context(|| format!("{method} {path} is no request"))
}

/// A connection; with `receive_buffer`, one whose kernel takes only about so many bytes ahead of the reader.
pub(crate) async fn connect(address: SocketAddr, receive_buffer: Option<u32>) -> Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = receive_buffer {
        // Before connecting: the window is announced in the handshake.
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
