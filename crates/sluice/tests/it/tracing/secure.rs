//! A collector behind TLS, whose authority only those know whom `SSL_CERT_FILE` tells.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sluice_testkit::{Certificates, Node, Role, eventually};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::collector::Collector;
use super::{caller, publish, traced};
use crate::stage::{SLUICE, SOON};

/// Ends TLS before `plain`; where.
async fn tls_before(plain: SocketAddr, certificates: &Certificates) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(certificates.server_cert_file()).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.server_key_file()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tracker = TaskTracker::new();
    tracker.clone().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tracker.spawn(async move {
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(plain).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

async fn by_tls(protocol: &str, collector: Collector) {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path()).unwrap();
    let endpoint = format!("https://{}", tls_before(collector.address(), &certificates).await);
    let dev = || traced(Node::builder(SLUICE, Role::Dev), protocol, &endpoint);
    let trusting = dev().env("SSL_CERT_FILE", certificates.ca_file().to_str().unwrap()).spawn();
    let trusting = trusting.await.unwrap();
    let (traceparent, trace, _) = caller(1, "01");
    publish(&trusting, "a", &traceparent).await;
    collector.trace(&trace, &["publish", "redis publish"]).await;

    // Whoever trusts others only does not send.
    let other = tempfile::tempdir().unwrap();
    let others = Certificates::create_in(other.path()).unwrap();
    let doubting = dev().env("SSL_CERT_FILE", others.ca_file().to_str().unwrap()).spawn().await.unwrap();
    let (traceparent, trace, _) = caller(2, "01");
    publish(&doubting, "a", &traceparent).await;
    eventually("a complaint", SOON, async || doubting.log().contains("cannot send spans")).await.unwrap();
    assert!(
        doubting.log().contains("the signature of the server's certificate is wrong"),
        "{}",
        doubting.log()
    );
    assert!(collector.spans().iter().all(|span| span.trace != trace));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_by_tls_to_whom_the_system_trusts() {
    by_tls("grpc", Collector::grpc().await).await;
    by_tls("http", Collector::http().await).await;
}
