//! TLS towards a node or the proxy before it. Trusted is whom the system trusts (or the file that
//! `SSL_CERT_FILE` names); nothing switches the check off.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sluice_diagnostics::explain;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Shakes hands with `host`, offering `protocols` (ALPN); why it failed.
pub(super) async fn shake_hands(
    stream: TcpStream,
    host: &str,
    protocols: &[&str],
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(config(protocols)?));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| format!("TLS: {}", explain(&error, "SSL_CERT_FILE")))
}

fn config(protocols: &[&str]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("this system names no authorities to trust{why}; SSL_CERT_FILE may name some"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}
