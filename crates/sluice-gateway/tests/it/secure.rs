//! A listener with a certificate, and clients that speak TLS and HTTP/2 to it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sluice_broker::{Broker, BrokerSettings, MemoryBroker};
use sluice_gateway::{GatewaySettings, ListenerSettings, Tls, TlsSettings};
use sluice_testkit::Certificates;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use crate::stage::{SOON, Stage, get_stream, get_stream_as};

/// A gateway that speaks TLS.
pub(crate) struct Secure {
    pub(crate) stage: Stage,
    pub(crate) tls: Tls,
    pub(crate) certificates: Certificates,
    pub(crate) directory: TempDir,
}

impl Secure {
    pub(crate) async fn start() -> Self {
        Self::start_with(false, |_| {}).await
    }

    pub(crate) async fn start_with(asks_clients: bool, settle: impl FnOnce(&mut ListenerSettings)) -> Self {
        Self::start_on(|_| {}, asks_clients, settle).await
    }

    /// The same with settings of the gateway as `settle_gateway` leaves them.
    pub(crate) async fn start_on(
        settle_gateway: impl FnOnce(&mut GatewaySettings),
        asks_clients: bool,
        settle: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        let tracker = TaskTracker::new();
        let broker = MemoryBroker::new(BrokerSettings::new("memory://".parse().unwrap()), tracker.clone());
        Self::start_before(Arc::new(broker), tracker, settle_gateway, asks_clients, settle).await
    }

    /// The same before a broker of the caller's.
    pub(crate) async fn start_before(
        broker: Arc<dyn Broker>,
        tracker: TaskTracker,
        settle_gateway: impl FnOnce(&mut GatewaySettings),
        asks_clients: bool,
        settle: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let certificates = Certificates::create_in(directory.path()).unwrap();
        let tls = Tls::load(TlsSettings {
            cert_file: certificates.server_cert_file(),
            key_file: certificates.server_key_file(),
            client_ca_file: asks_clients.then(|| certificates.ca_file()),
            reload_interval: Duration::from_millis(50),
        })
        .unwrap();
        let mut listener = ListenerSettings { tls: Some(tls.clone()), ..Default::default() };
        settle(&mut listener);
        let stage = Stage::start_before(broker, tracker, settle_gateway, listener).await;
        stage.tracker.spawn(tls.clone().keep(stage.stop.clone()));
        Self { stage, tls, certificates, directory }
    }

    /// A connection by TLS that offers these protocols.
    pub(crate) async fn connect(&self, protocols: &[&str]) -> Result<TlsStream<TcpStream>> {
        self.connect_as(protocols, false).await
    }

    /// The same, with the client's certificate if `shown`.
    pub(crate) async fn connect_as(&self, protocols: &[&str], shown: bool) -> Result<TlsStream<TcpStream>> {
        self.shake_hands(TcpStream::connect(self.stage.address).await?, protocols, shown).await
    }

    /// The same on a socket that is connected.
    pub(crate) async fn shake_hands(
        &self,
        socket: TcpStream,
        protocols: &[&str],
        shown: bool,
    ) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.certificates.ca_file())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = if shown {
            let key = PrivateKeyDer::from_pem_file(self.certificates.client_key_file())?;
            builder.with_client_auth_cert(vec![certificate(&self.certificates.client_cert_file())?], key)?
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost")?;
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, socket);
        Ok(tokio::time::timeout(SOON, shaking).await.context("the handshake")??)
    }

    /// An HTTP/2 connection.
    pub(crate) async fn http2(&self) -> SendRequest<bytes::Bytes> {
        http2_over(&self.stage, self.connect(&["h2", "http/1.1"]).await.unwrap()).await
    }
}

pub(crate) fn certificate(path: &Path) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(&fs::read(path)?)?)
}

/// HTTP/2 on a connection that is there, driven by a task of the stage.
pub(crate) async fn http2_over<I>(stage: &Stage, io: I) -> SendRequest<bytes::Bytes>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Room for what one stream leaves unread, so that only its own window holds it up.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let (requests, connection) = builder.handshake(io).await.unwrap();
    stage.tracker.spawn(async move {
        let _ = connection.await;
    });
    requests.ready().await.unwrap()
}

/// A stream that is read.
pub(crate) struct Http2Stream {
    body: RecvStream,
    received: Vec<u8>,
}

impl Http2Stream {
    pub(crate) async fn open(requests: &mut SendRequest<bytes::Bytes>, topic: &str) -> Self {
        let uri = format!("https://localhost/v1/events?topic={topic}");
        let request = Request::get(uri).header("accept", "text/event-stream").body(()).unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        let response = tokio::time::timeout(SOON, response).await.expect("an answer").unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert!(!response.headers().contains_key("connection"));
        let mut stream = Self { body: response.into_body(), received: Vec::new() };
        stream.until("\nid: ").await;
        stream
    }

    /// Reads until `mark` has come; everything up to it, and it.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            let found = self.received.windows(mark.len()).position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let rest = self.received.split_off(at + mark.len());
                let read = std::mem::replace(&mut self.received, rest);
                return String::from_utf8(read).unwrap();
            }
            let data = tokio::time::timeout(SOON, self.body.data()).await.expect("more of the stream");
            let data = data.expect("the stream goes on").unwrap();
            self.body.flow_control().release_capacity(data.len()).unwrap();
            self.received.extend_from_slice(&data);
        }
    }

    /// Reads to the orderly end.
    pub(crate) async fn rest(mut self) -> String {
        while let Some(data) = tokio::time::timeout(SOON, self.body.data()).await.expect("the stream's end") {
            let data = data.expect("a clean end");
            self.body.flow_control().release_capacity(data.len()).unwrap();
            self.received.extend_from_slice(&data);
        }
        String::from_utf8(self.received).unwrap()
    }
}

/// Asks for a stream by HTTP/1.1.
pub(crate) async fn ask(connection: &mut TlsStream<TcpStream>, topic: &str) {
    connection.write_all(get_stream(topic).as_bytes()).await.unwrap();
}

/// The same for somebody.
pub(crate) async fn ask_as(connection: &mut TlsStream<TcpStream>, subject: &str, topic: &str) {
    connection.write_all(get_stream_as(subject, topic).as_bytes()).await.unwrap();
}

/// Reads until `mark` has come.
pub(crate) async fn read_until(connection: &mut TlsStream<TcpStream>, mark: &str) -> String {
    let mut read = Vec::new();
    while !read.windows(mark.len()).any(|window| window == mark.as_bytes()) {
        let some = tokio::time::timeout(SOON, connection.read_buf(&mut read)).await;
        let some = some.unwrap_or_else(|_| panic!("{mark:?} after {:?}", String::from_utf8_lossy(&read)));
        assert_ne!(some.unwrap(), 0, "the end came after {:?}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}
