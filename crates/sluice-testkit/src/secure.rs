//! The client's side of TLS, for streams: an authority that is trusted and one protocol that is offered.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::Certificates;

/// Shakes hands with a server on `127.0.0.1` that shows a certificate of `trusted`, offering `protocol` (ALPN).
pub(crate) async fn shake_hands(
    socket: TcpStream,
    trusted: &Certificates,
    protocol: &[u8],
) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.ca_file())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("127.0.0.1")?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.context("the TLS handshake")
}
